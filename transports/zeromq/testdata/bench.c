// libzmq's side of BenchmarkPush: "push ENDPOINT SIZE COUNT 2" sends COUNT messages [lobby, SIZE bytes], with 1 for the
// last word "lobby " and the rest of SIZE bytes in one frame; "pull ENDPOINT COUNT"
// binds, prints where, takes COUNT messages and prints the nanoseconds from the first to the last.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// secure makes a socket speak CURVE when the environment has keys: CURVE_SECRET and CURVE_PUBLIC are its own, CURVE_SERVER
// the server's public one, for a client.
static void secure(void *s) {
  int on = 1;
  if (!getenv("CURVE_SECRET")) return;
  zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, getenv("CURVE_SECRET"), 41);
  zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, getenv("CURVE_PUBLIC"), 41);
  if (getenv("CURVE_SERVER"))
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, getenv("CURVE_SERVER"), 41);
  else
    zmq_setsockopt(s, ZMQ_CURVE_SERVER, &on, sizeof on);
}

int main(int argc, char **argv) {
  void *context = zmq_ctx_new();
  int unbounded = 0;
  if (argc == 6 && !strcmp(argv[1], "push")) {
    void *s = zmq_socket(context, ZMQ_PUSH);
    zmq_setsockopt(s, ZMQ_SNDHWM, &unbounded, sizeof unbounded);
    secure(s);
    if (zmq_connect(s, argv[2])) return 1;
    size_t size = atol(argv[3]);
    char *body = malloc(size);
    memset(body, 'x', size);
    if (*argv[5] == '1') memcpy(body, "lobby ", 6);
    for (long n = atol(argv[4]); n > 0; n--) {
      if (*argv[5] == '2') zmq_send(s, "lobby", 5, ZMQ_SNDMORE);
      zmq_send(s, body, size, 0);
    }
    zmq_close(s);
    return zmq_ctx_term(context);
  }
  if (argc != 4) return 2;
  void *s = zmq_socket(context, ZMQ_PULL);
  zmq_setsockopt(s, ZMQ_RCVHWM, &unbounded, sizeof unbounded);
  secure(s);
  if (zmq_bind(s, argv[2])) return 1;
  char at[256];
  size_t length = sizeof at;
  zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, at, &length);
  printf("bound %s\n", at);
  fflush(stdout);
  zmq_msg_t m;
  zmq_msg_init(&m);
  long long began = 0;
  for (long n = atol(argv[3]); n > 0;) {
    if (zmq_msg_recv(&m, s, 0) < 0) return 1;
    if (!began) began = now();
    if (!zmq_msg_more(&m)) n--;
  }
  printf("took %lld\n", now() - began);
  fflush(stdout);
  zmq_msg_close(&m);
  zmq_close(s);
  return zmq_ctx_term(context);
}
