/* The limit of a single operation: vfork + exec of a program, its input written, its output read,
 * N times, C at a time, no broker. Usage: spawn N C PROGRAM [ARGUMENT ...]; prints seconds. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

extern char **environ;
enum { MOST = 64, BODY = 100 };
static struct { pid_t pid; int out; } slot[MOST];

static void start(int at, char **argv, const char *body) {
    int in[2], out[2];
    posix_spawn_file_actions_t act;
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) exit(1);
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_adddup2(&act, in[0], 0);
    posix_spawn_file_actions_adddup2(&act, out[1], 1);
    if (write(in[1], body, BODY) != BODY) exit(1);
    if (posix_spawn(&slot[at].pid, argv[0], &act, NULL, argv, environ)) exit(1);
    posix_spawn_file_actions_destroy(&act);
    close(in[0]); close(in[1]); close(out[1]);
    slot[at].out = out[0];
}

static void finish(int at) {
    char buffer[4096];
    long got = 0, n;
    int status;
    while ((n = read(slot[at].out, buffer, sizeof buffer)) > 0) got += n;
    close(slot[at].out);
    if (waitpid(slot[at].pid, &status, 0) < 0 || status || got != BODY) exit(1);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int count = atoi(argv[1]), most = atoi(argv[2]);
    char body[BODY];
    struct timespec a, b;
    if (most < 1 || most > MOST) return 2;
    memset(body, 'x', BODY);
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < count + most; i++) {
        if (i >= most) finish(i % most);
        if (i < count) start(i % most, argv + 3, body);
        if (i >= most && i - most + 1 >= count) break;
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.6f\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    return 0;
}
