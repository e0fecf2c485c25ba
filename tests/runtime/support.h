/*
 * What the tests of the runtimes share: a deployment, servers, clients, callers in threads, and a
 * desk where handlers leave calls for somebody else to answer.
 *
 * Each test has a folder of its own (HOME points into it) and a time limit, after which SIGALRM
 * ends the program: a wait that never ends is a failure too.  What goes wrong in the test's own
 * thread fails the test; in any other thread it ends the program with a message, since cmocka
 * cannot jump out of those.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>
#include <sotto/sotto.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { TEST_SECONDS = 120, WAIT_MS = 30000, TEXT_SIZE = 512 };

/* For any thread. */
#define require(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            give_up(__FILE__, __LINE__, #condition);                                               \
    } while (0)
_Noreturn void give_up(const char *file, int line, const char *what);

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL)                                                        \
            fail_msg("\"%s\" lacks \"%s\"", (text), (part));                                       \
    } while (0)

/* ---- Files ----------------------------------------------------------------------------------- */

enum { PATH_SIZE = 1024 };

/* The path of NAME in the test's folder.  It lives until the sixteenth next call. */
const char *scratch_path(const char *name);

void put_text(const char *path, const char *text, mode_t mode);
char *get_text(const char *path); /* to be freed; NULL: there is none */
unsigned count_files(const char *folder);
mode_t mode_of(const char *path);

/* The path of the only file in FOLDER. */
const char *only_file_in(const char *folder);

/* ---- The deployment -------------------------------------------------------------------------- */

/* Keys are by curve - 1.  Made once for a program, read-only. */
struct world {
    sotto_secrets *server, *client;             /* made together */
    sotto_secrets *other_server, *other_client; /* made together, of another deployment */
    sotto_keypair *keys[SOTTO_CURVE_COUNT], *other_keys[SOTTO_CURVE_COUNT];
    sotto_keypair *friends[SOTTO_CURVE_COUNT], *strangers[SOTTO_CURVE_COUNT];
};
extern struct world world;

int world_setup(void **state);    /* cmocka group fixtures */
int world_teardown(void **state); /* also looks for descriptors and threads that are left */
int test_setup(void **state);     /* cmocka fixtures */
int test_teardown(void **state);

#define runtime_test(function) cmocka_unit_test_setup_teardown(function, test_setup, test_teardown)

sotto_curve curve_at(size_t index);
sotto_cipher cipher_at(size_t index); /* 0 and 1 */
const char *fingerprint_of(const sotto_keypair *keypair);

/* Known clients: FRIENDS under the names "friend-25519" and "friend-448".  The caller frees it. */
sotto_known_clients *known_friends(void);

/* ---- Servers --------------------------------------------------------------------------------- */

/* Both keys, the secrets above, two workers, a port of the kernel's choice. */
sotto_server_options server_options(void);
sotto_server *server_new(const sotto_server_options *options);

/* A server with the endpoint `echo` that runs. */
sotto_server *echo_server(const sotto_server_options *options);
void add_endpoint(sotto_server *server, const char *name, sotto_handler *handler,
                  sotto_call_over *over, void *user);
void start(sotto_server *server);

/* The same on the port of ADDRESS, where another server was a moment ago. */
sotto_server *echo_server_at(sotto_server_options options, const char *address);

/* One with these keys (B may be NULL) and secrets; LISTEN NULL: the kernel chooses the port. */
sotto_server *server_with(const sotto_keypair *a, const sotto_keypair *b,
                          const sotto_secrets *secrets, const char *listen);

/* Drain for at most WAIT_MS, wait, free. */
void stop(sotto_server *server);

void echo(void *user, const sotto_request *request);
void answer_text(const sotto_request *request, const char *text);
sotto_server_stats stats_of(const sotto_server *server);

/* Wait until a counter has reached its value, or let the test fail. */
void wait_for_open(const sotto_server *server, uint64_t open);
#define wait_for_stat(server, member, value)                                                       \
    do {                                                                                           \
        int64_t until_ = now_ms() + WAIT_MS;                                                       \
        while (stats_of(server).member < (value) && now_ms() < until_)                             \
            breathe();                                                                             \
        assert_true(stats_of(server).member >= (value));                                           \
    } while (0)

int64_t now_ms(void);
int64_t now_ns(void);
void breathe(void); /* let others run, for a millisecond */

/* ---- Clients --------------------------------------------------------------------------------- */

/* The secrets above, policy accept-new, files in the test's folder. */
sotto_client_options client_options(const char *address);
sotto_client *client_new(const sotto_client_options *options);
sotto_client *client_for(const sotto_server *server); /* with client_options() */
sotto_client_stats client_stats(const sotto_client *client);

/* Call, and the answer must be ANSWER. */
void call_gives(sotto_client *client, const char *endpoint, const char *content,
                const char *answer);
void call_echo(sotto_client *client);

/* Call, and it must fail with ERR and words.  The reply's code and maybe_executed, and the error,
 * are in `last`. */
struct last {
    char code[TEXT_SIZE], message[TEXT_SIZE];
    int maybe_executed;
    bool has_code;
    sotto_error error;
};
extern struct last last;
void call_fails(sotto_client *client, const char *endpoint, const char *content, sotto_err err);

/* Where the test's clients keep what they know, unless they are told otherwise. */
const char *known_servers(void);
const char *sessions(void);

/* What a client has done so far. */
void assert_did(const sotto_client *client, uint64_t bootstraps, uint64_t sessions_made);

/* A new client that calls once: so many bootstraps, one session. */
void one_call_takes(const sotto_client_options *options, uint64_t bootstraps);

/* A new client that calls once, in vain, and then once more. */
void one_call_fails(const sotto_client_options *options, sotto_err err, uint64_t bootstraps);

/* JSON: DEPTH arrays, one in the other.  It lives until the next call. */
char *nested(size_t depth);

/* ERROR is filled in for ERR: code, what, and text without control characters. */
void check_words(const sotto_error *error, sotto_err err);

/* A client that makes one call in a thread of its own. */
struct caller {
    pthread_t thread;
    sotto_client *client; /* borrowed */
    const char *endpoint, *content;
    sotto_call_options options;
    sotto_err err;
    sotto_reply reply;
    sotto_error error;
};
void caller_start(struct caller *caller, sotto_client *client, const char *endpoint,
                  const char *content);
void caller_join(struct caller *caller);
void caller_free(struct caller *caller); /* its reply */

/* A client that makes COUNT calls, and counts those that gave ANSWER.  For any thread. */
struct loop {
    sotto_client *client;
    const char *endpoint, *content, *answer;
    unsigned count, right, wrong;
};
void *call_in_a_loop(void *user); /* USER is the loop */

void spawn(pthread_t *thread, void *(*run)(void *), void *user);
void join(pthread_t thread);

/* ---- Calls that wait ------------------------------------------------------------------------- */

enum { DESK_SIZE = 4096 };

/* A handler leaves its call here, and somebody takes it.  Also notes what `over` tells. */
struct desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sotto_server *server; /* of the last call */
    sotto_call calls[DESK_SIZE];
    size_t count, taken;
    struct {
        sotto_call call;
        sotto_err reason;
    } overs[DESK_SIZE];
    size_t over_count;
    sotto_request request; /* of the last call; its pointers are copied, or NULL */
    char content[TEXT_SIZE], endpoint[TEXT_SIZE];
    sotto_peer peer; /* likewise */
    char peer_address[TEXT_SIZE], peer_name[TEXT_SIZE];
    sotto_public_key peer_key;
    bool closed; /* for threads that answer: no more to come */
};

void desk_init(struct desk *desk);
void desk_free(struct desk *desk);
void desk_handler(void *user, const sotto_request *request); /* USER is the desk */
void desk_over(void *user, sotto_server *server, sotto_call call, sotto_err reason);

/* Wait for the next call that nobody took. */
sotto_call desk_take(struct desk *desk);
bool desk_take_or_closed(struct desk *desk, sotto_call *call);
void desk_close(struct desk *desk);

/* Wait until N calls came, or N were told to be over. */
void desk_wait_calls(struct desk *desk, size_t n);
void desk_wait_overs(struct desk *desk, size_t n);
size_t desk_overs(struct desk *desk);
size_t desk_calls(struct desk *desk);

/* ---- Plain sockets --------------------------------------------------------------------------- */

/* Connect to "127.0.0.1:port"; -1 and errno when that fails. */
int try_connect(const char *address);
int connect_to(const char *address);

/* A socket that listens on loopback, and its address. */
int listen_on_loopback(char address[64]);
int accept_from(int listener); /* waits for at most WAIT_MS */

/* Read and drop until the peer's end of stream or a reset; fails the test after WAIT_MS. */
void read_to_end(int fd);

#endif
