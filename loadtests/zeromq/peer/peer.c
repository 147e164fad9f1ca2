/* peer is what Greenroom is compared with: libzmq's own sockets.
 *
 *   peer sub ENDPOINT SUBSCRIBERS            hears "room" until its event is "end"
 *   peer pub ENDPOINT SIZE COUNT SUBSCRIBERS META   sends [room, tick, payload], COUNT times, then [room, end]
 *   peer push ENDPOINT SIZE COUNT            connects and sends
 *   peer pull ENDPOINT COUNT                 binds and takes
 *   peer req ENDPOINT COUNT                  connects and asks, one request after the other
 *   peer rep ENDPOINT COUNT                  binds and answers
 *
 * They print one line: sub what it heard in how many seconds, pub the seconds and its seconds of CPU, pull the seconds
 * from the first message to the last, req the median of the round trips in microseconds. META bytes more, if it is not
 * 0, follow the payload as one more frame. CURVE_SECRET and CURVE_PUBLIC, if they are set, are the keys of
 * its sockets, CURVE_SERVER that of the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void secure(void *s) {
    int on = 1;
    if (!getenv("CURVE_SECRET"))
        return;
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, getenv("CURVE_SECRET"), 41);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, getenv("CURVE_PUBLIC"), 41);
    if (getenv("CURVE_SERVER"))
        zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, getenv("CURVE_SERVER"), 41);
    else
        zmq_setsockopt(s, ZMQ_CURVE_SERVER, &on, sizeof on);
}

/* hear takes one message, without waiting: 0 when there is none, 2 when it was the end. */
static int hear(void *s) {
    char event[8];
    zmq_msg_t m;
    int frame = 0, more = 1, end = 0;
    while (more) {
        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, s, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            return 0;
        }
        if (frame++ == 1 && zmq_msg_size(&m) == 3 && memcpy(event, zmq_msg_data(&m), 3) && memcmp(event, "end", 3) == 0)
            end = 1;
        more = zmq_msg_more(&m);
        zmq_msg_close(&m);
    }
    return end ? 2 : 1;
}

static int sub(void *ctx, const char *endpoint, int n) {
    void **s = calloc(n, sizeof *s);
    zmq_pollitem_t *items = calloc(n, sizeof *items);
    int zero = 0, open = n;
    long heard = 0;
    double first = 0;
    for (int i = 0; i < n; i++) {
        s[i] = zmq_socket(ctx, ZMQ_SUB);
        zmq_setsockopt(s[i], ZMQ_RCVHWM, &zero, sizeof zero);
        zmq_setsockopt(s[i], ZMQ_LINGER, &zero, sizeof zero);
        zmq_setsockopt(s[i], ZMQ_SUBSCRIBE, "room", 4);
        secure(s[i]);
        if (zmq_connect(s[i], endpoint) != 0)
            return 1;
        items[i].socket = s[i];
        items[i].events = ZMQ_POLLIN;
    }
    while (open > 0) {
        zmq_poll(items, n, -1);
        for (int i = 0; i < n; i++) {
            if (!(items[i].revents & ZMQ_POLLIN))
                continue;
            for (int got; (got = hear(s[i])) != 0;) {
                if (first == 0)
                    first = now();
                if (got == 2) {
                    items[i].events = 0;
                    open--;
                    break;
                }
                heard++;
            }
        }
    }
    printf("%ld %.6f\n", heard, now() - first);
    fflush(stdout);
    for (int i = 0; i < n; i++)
        zmq_close(s[i]);
    return 0;
}

static int pub(void *ctx, const char *endpoint, int size, long count, int n, int meta) {
    void *s = zmq_socket(ctx, ZMQ_XPUB);
    int zero = 0, on = 1, linger = 10000;
    char topic[64], *payload = calloc(1, size + 1), *more = calloc(1, meta + 1);
    memset(payload, 'x', size);
    memset(more, 'm', meta);
    zmq_setsockopt(s, ZMQ_SNDHWM, &zero, sizeof zero);
    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(s, ZMQ_XPUB_VERBOSE, &on, sizeof on);
    secure(s);
    if (zmq_bind(s, endpoint) != 0)
        return 1;
    for (int i = 0; i < n; i++)
        zmq_recv(s, topic, sizeof topic, 0);
    usleep(200000);
    double start = now(), used = cpu();
    for (long i = 0; i < count; i++) {
        zmq_send(s, "room", 4, ZMQ_SNDMORE);
        zmq_send(s, "tick", 4, ZMQ_SNDMORE);
        zmq_send(s, payload, size, meta ? ZMQ_SNDMORE : 0);
        if (meta)
            zmq_send(s, more, meta, 0);
    }
    zmq_send(s, "room", 4, ZMQ_SNDMORE);
    zmq_send(s, "end", 3, 0);
    zmq_close(s);
    zmq_ctx_term(ctx); /* when all has left */
    printf("%.6f %.6f\n", now() - start, cpu() - used);
    return 0;
}

static int push(void *ctx, const char *endpoint, int size, long count) {
    void *s = zmq_socket(ctx, ZMQ_PUSH);
    int zero = 0;
    char *payload = calloc(1, size);
    zmq_setsockopt(s, ZMQ_SNDHWM, &zero, sizeof zero);
    if (zmq_connect(s, endpoint) != 0)
        return 1;
    for (long i = 0; i < count; i++)
        zmq_send(s, payload, size, 0);
    zmq_close(s);
    return zmq_ctx_term(ctx);
}

static int pull(void *ctx, const char *endpoint, long count) {
    void *s = zmq_socket(ctx, ZMQ_PULL);
    int zero = 0;
    double first = 0;
    zmq_msg_t m;
    zmq_setsockopt(s, ZMQ_RCVHWM, &zero, sizeof zero);
    if (zmq_bind(s, endpoint) != 0)
        return 1;
    zmq_msg_init(&m);
    for (long i = 0; i < count; i++) {
        if (zmq_msg_recv(&m, s, 0) < 0)
            return 1;
        if (i == 0)
            first = now();
    }
    printf("%.6f\n", now() - first);
    return 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int req(void *ctx, const char *endpoint, long count) {
    void *s = zmq_socket(ctx, ZMQ_REQ);
    double *took = calloc(count, sizeof *took);
    char answer[64];
    if (zmq_connect(s, endpoint) != 0)
        return 1;
    for (long i = 0; i < count; i++) {
        double start = now();
        if (zmq_send(s, "question", 8, 0) < 0 || zmq_recv(s, answer, sizeof answer, 0) < 0)
            return 1;
        took[i] = now() - start;
    }
    qsort(took, count, sizeof *took, ascending);
    printf("%.3f\n", took[count / 2] * 1e6);
    return 0;
}

static int rep(void *ctx, const char *endpoint, long count) {
    void *s = zmq_socket(ctx, ZMQ_REP);
    char question[64];
    if (zmq_bind(s, endpoint) != 0)
        return 1;
    for (long i = 0; i < count; i++)
        if (zmq_recv(s, question, sizeof question, 0) < 0 || zmq_send(s, "answer", 6, 0) < 0)
            return 1;
    zmq_close(s);
    return zmq_ctx_term(ctx); /* when the last answer has left */
}

int main(int argc, char **argv) {
    void *ctx = zmq_ctx_new();
    zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, 4096);
    if (argc == 4 && strcmp(argv[1], "sub") == 0)
        return sub(ctx, argv[2], atoi(argv[3]));
    if (argc == 7 && strcmp(argv[1], "pub") == 0)
        return pub(ctx, argv[2], atoi(argv[3]), atol(argv[4]), atoi(argv[5]), atoi(argv[6]));
    if (argc == 5 && strcmp(argv[1], "push") == 0)
        return push(ctx, argv[2], atoi(argv[3]), atol(argv[4]));
    if (argc == 4 && strcmp(argv[1], "pull") == 0)
        return pull(ctx, argv[2], atol(argv[3]));
    if (argc == 4 && strcmp(argv[1], "req") == 0)
        return req(ctx, argv[2], atol(argv[3]));
    if (argc == 4 && strcmp(argv[1], "rep") == 0)
        return rep(ctx, argv[2], atol(argv[3]));
    fprintf(stderr, "usage: see the head of peer.c\n");
    return 2;
}
