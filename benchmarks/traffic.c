/* The other end of the link in the rows about answering: fast enough to bound nobody.
 *
 *   traffic send DESCRIPTOR FRAMES SECONDS RATE   send what the file FRAMES holds (each frame behind its length, 16
 *                                                 bits in network order), round and round, through an AF_PACKET socket;
 *                                                 RATE frames a second, 0 for as many as go. Count what answers: ARP
 *                                                 replies and neighbour advertisements. Half a second more is listened.
 *   traffic answer DEVICE                         answer every ARP request, until standard input ends
 *
 * Both end with a line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, ROOM = 256, MOST = 65536, AFTERWARDS_MS = 500 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int is_answer(const unsigned char *frame, int length)
{
    if (length >= 42 && frame[12] == 8 && frame[13] == 6)
        return frame[20] == 0 && frame[21] == 2;
    return length >= 78 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == 58 && frame[54] == 136;
}

/* Take in what has arrived; return how many answers were among it. */
static long take(int wire)
{
    static unsigned char rooms[BATCH][ROOM];
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    long answers = 0;
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){rooms[i], ROOM};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        int n = recvmmsg(wire, messages, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0)
            return answers;
        for (int i = 0; i < n; i++)
            answers += is_answer(rooms[i], messages[i].msg_len);
        if (n < BATCH)
            return answers;
    }
}

static long read_frames(const char *path, struct iovec *frames)
{
    FILE *file = fopen(path, "rb");
    unsigned char length[2];
    long count = 0;
    if (!file)
        fail(path);
    while (count < MOST && fread(length, 1, 2, file) == 2) {
        size_t octets = length[0] << 8 | length[1];
        unsigned char *frame = malloc(octets);
        if (!frame || fread(frame, 1, octets, file) != octets)
            fail(path);
        frames[count++] = (struct iovec){frame, octets};
    }
    fclose(file);
    if (!count)
        fail(path);
    return count;
}

static int send_all(int wire, const char *path, double seconds, double rate)
{
    static struct iovec frames[MOST];
    long count = read_frames(path, frames), sent = 0, answers = 0;
    double begin = now(), end = begin + seconds;
    for (double at = begin; at < end; at = now()) {
        long due = rate > 0 ? (long)((at - begin) * rate) - sent : BATCH;
        struct mmsghdr messages[BATCH] = {0};
        int wanted = due > BATCH ? BATCH : (int)due;
        for (int i = 0; i < wanted; i++) {
            messages[i].msg_hdr.msg_iov = &frames[(sent + i) % count];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        if (wanted > 0) {
            int n = sendmmsg(wire, messages, wanted, 0);
            if (n > 0)
                sent += n;
            else if (errno != EAGAIN && errno != ENOBUFS)
                fail("sendmmsg");
        } else {
            struct timespec pause = {0, 20000};
            nanosleep(&pause, NULL);
        }
        answers += take(wire);
    }
    double spent = now() - begin;
    struct pollfd waiting = {wire, POLLIN, 0};
    while (poll(&waiting, 1, AFTERWARDS_MS) > 0)
        answers += take(wire);
    printf("{\"sent\": %ld, \"answers\": %ld, \"seconds\": %.6f}\n", sent, answers, spent);
    return 0;
}

static int answer(const char *device)
{
    int wire = socket(AF_PACKET, SOCK_RAW, htons(0x0806));
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(0x0806)}, own;
    socklen_t size = sizeof own;
    int room = 8 << 20;
    where.sll_ifindex = if_nametoindex(device);
    if (wire < 0 || bind(wire, (struct sockaddr *)&where, sizeof where))
        fail(device);
    setsockopt(wire, SOL_SOCKET, 33 /* SO_RCVBUFFORCE */, &room, sizeof room);
    if (getsockname(wire, (struct sockaddr *)&own, &size))
        fail("getsockname");
    printf("ready\n");
    fflush(stdout);
    struct pollfd waiting[2] = {{wire, POLLIN, 0}, {0, POLLIN, 0}};
    for (;;) {
        unsigned char frame[ROOM];
        ssize_t length = recv(wire, frame, sizeof frame, MSG_DONTWAIT);
        if (length < 0) {
            poll(waiting, 2, -1);
            if (waiting[1].revents)
                break;
            continue;
        }
        if (length < 42 || frame[20] != 0 || frame[21] != 1 || !memcmp(frame + 6, own.sll_addr, 6))
            continue;
        unsigned char target[4];
        memcpy(target, frame + 38, 4);
        memcpy(frame, frame + 22, 6);
        memcpy(frame + 32, frame + 22, 10);
        memcpy(frame + 6, own.sll_addr, 6);
        memcpy(frame + 22, own.sll_addr, 6);
        memcpy(frame + 28, target, 4);
        frame[21] = 2;
        send(wire, frame, 42, 0);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"cpu\": %.6f}\n", usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "send"))
        return send_all(atoi(argv[2]), argv[3], atof(argv[4]), atof(argv[5]));
    if (argc == 3 && !strcmp(argv[1], "answer"))
        return answer(argv[2]);
    fprintf(stderr, "usage: traffic send DESCRIPTOR FRAMES SECONDS RATE | answer DEVICE\n");
    return 2;
}
