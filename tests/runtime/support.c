#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

struct world world;
struct last last;

static unsigned descriptors_before;

void give_up(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    abort();
}

/* ---- Files ----------------------------------------------------------------------------------- */

static char scratch_folder[PATH_SIZE];

static void make_scratch(void)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(scratch_folder, sizeof scratch_folder, "%s/sotto-test-XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    require(mkdtemp(scratch_folder) != NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_scratch(void)
{
    require(nftw(scratch_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

const char *scratch_path(const char *name)
{
    static char paths[16][2 * PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % COUNT_OF(paths)];

    (void)snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

void put_text(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    require(fchmod(fd, mode) == 0 && close(fd) == 0);
}

char *get_text(const char *path)
{
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "re");
    char *text;

    if (file == NULL)
        return NULL;
    text = calloc(1, MOST);
    require(text != NULL && fread(text, 1, MOST - 1, file) < MOST - 1);
    require(fclose(file) == 0);
    return text;
}

unsigned count_files(const char *folder)
{
    DIR *dir = opendir(folder);
    unsigned count = 0;

    require(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    require(closedir(dir) == 0);
    return count - 2;
}

const char *only_file_in(const char *folder)
{
    static char path[2 * PATH_SIZE];
    DIR *dir = opendir(folder);
    struct dirent *entry;

    require(dir != NULL);
    path[0] = '\0';
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        require(path[0] == '\0');
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    }
    require(path[0] != '\0' && closedir(dir) == 0);
    return path;
}

mode_t mode_of(const char *path)
{
    struct stat st;

    require(lstat(path, &st) == 0);
    return st.st_mode & 07777;
}

/* ---- Time ------------------------------------------------------------------------------------ */

int64_t now_ns(void)
{
    struct timespec t;

    require(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t now_ms(void)
{
    return now_ns() / 1000000;
}

void breathe(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    (void)nanosleep(&pause, NULL);
}

/* ---- The deployment -------------------------------------------------------------------------- */

sotto_curve curve_at(size_t index)
{
    return index == 0 ? SOTTO_CURVE_25519 : SOTTO_CURVE_448;
}

sotto_cipher cipher_at(size_t index)
{
    return index == 0 ? SOTTO_CIPHER_AESGCM : SOTTO_CIPHER_CHACHAPOLY;
}

const char *fingerprint_of(const sotto_keypair *keypair)
{
    static char texts[8][SOTTO_FINGERPRINT_SIZE];
    static unsigned next;
    sotto_public_key key = sotto_keypair_public(keypair);
    char *text = texts[next++ % COUNT_OF(texts)];

    assert_int_equal(sotto_fingerprint(&key, text), SOTTO_OK);
    return text;
}

static void make_secrets(const char *dir, sotto_secrets **server, sotto_secrets **client)
{
    char path[2 * PATH_SIZE];
    sotto_error error = {0};

    require(sotto_secrets_create(dir, 0, &error) == SOTTO_OK);
    (void)snprintf(path, sizeof path, "%s/server.json", dir);
    require(sotto_secrets_load(path, server, &error) == SOTTO_OK);
    (void)snprintf(path, sizeof path, "%s/client.json", dir);
    require(sotto_secrets_load(path, client, &error) == SOTTO_OK);
}

static void *do_nothing(void *user)
{
    return user;
}

/* The event loop's library keeps two descriptors for the whole process from the first loop on, and
 * ThreadSanitizer a thread from the first thread on. */
static void warm_up(void)
{
    sotto_client_options o = SOTTO_CLIENT_OPTIONS_INIT;
    sotto_client *client;
    pthread_t thread;

    spawn(&thread, do_nothing, NULL);
    join(thread);
    o.address = "127.0.0.1:1";
    o.known_servers = o.state_dir = "";
    require(sotto_client_new(&o, &client, NULL) == SOTTO_OK);
    sotto_client_free(client);
}

/* Two hundred clients with a loop each need more descriptors than an ordinary user's soft limit. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int world_setup(void **state)
{
    raise_descriptor_limit();
    warm_up();
    descriptors_before = count_files("/proc/self/fd");
    (void)state;
    make_scratch();
    make_secrets(scratch_path("a"), &world.server, &world.client);
    make_secrets(scratch_path("b"), &world.other_server, &world.other_client);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        require(sotto_keypair_generate(curve_at(i), &world.keys[i]) == SOTTO_OK);
        require(sotto_keypair_generate(curve_at(i), &world.other_keys[i]) == SOTTO_OK);
        require(sotto_keypair_generate(curve_at(i), &world.friends[i]) == SOTTO_OK);
        require(sotto_keypair_generate(curve_at(i), &world.strangers[i]) == SOTTO_OK);
    }
    remove_scratch();
    return 0;
}

int world_teardown(void **state)
{
    (void)state;
    sotto_secrets_free(world.server);
    sotto_secrets_free(world.client);
    sotto_secrets_free(world.other_server);
    sotto_secrets_free(world.other_client);
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_keypair_free(world.keys[i]);
        sotto_keypair_free(world.other_keys[i]);
        sotto_keypair_free(world.friends[i]);
        sotto_keypair_free(world.strangers[i]);
    }
    return count_files("/proc/self/fd") == descriptors_before ? 0 : -1;
}

static unsigned test_descriptors, test_threads;

int test_setup(void **state)
{
    (void)state;
    (void)alarm(TEST_SECONDS);
    make_scratch();
    require(setenv("HOME", scratch_folder, 1) == 0);
    require(unsetenv("XDG_CONFIG_HOME") == 0 && unsetenv("XDG_STATE_HOME") == 0);
    memset(&last, 0, sizeof last);
    test_descriptors = count_files("/proc/self/fd");
    test_threads = count_files("/proc/self/task");
    return 0;
}

/* A thread that was joined may stand in /proc for another moment. */
static bool threads_ended(void)
{
    int64_t until = now_ms() + 5000;

    while (count_files("/proc/self/task") > test_threads && now_ms() < until)
        breathe();
    return count_files("/proc/self/task") <= test_threads;
}

int test_teardown(void **state)
{
    int failed = 0;

    (void)state;
    (void)alarm(0);
    remove_scratch();
    if (count_files("/proc/self/fd") != test_descriptors) {
        print_error("descriptors are left open\n");
        failed = -1;
    }
    if (!threads_ended()) {
        print_error("threads are left running\n");
        failed = -1;
    }
    return failed;
}

sotto_known_clients *known_friends(void)
{
    char text[512] = "", key_text[SOTTO_PUBLIC_KEY_TEXT_SIZE];
    sotto_known_clients *clients = NULL;

    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++) {
        sotto_public_key key = sotto_keypair_public(world.friends[i]);
        size_t len = strlen(text);

        assert_int_equal(sotto_public_key_format(&key, key_text), SOTTO_OK);
        (void)snprintf(text + len, sizeof text - len, "%s friend-%s\n", key_text,
                       sotto_curve_name(curve_at(i)));
    }
    put_text(scratch_path("clients"), text, 0644);
    assert_int_equal(sotto_known_clients_load(scratch_path("clients"), &clients, NULL), SOTTO_OK);
    return clients;
}

/* ---- Servers --------------------------------------------------------------------------------- */

sotto_server_options server_options(void)
{
    sotto_server_options o = SOTTO_SERVER_OPTIONS_INIT;

    o.listen = "127.0.0.1:0";
    for (size_t i = 0; i < SOTTO_CURVE_COUNT; i++)
        o.keys[i] = world.keys[i];
    o.secrets = world.server;
    o.workers = 2;
    return o;
}

sotto_server *server_new(const sotto_server_options *options)
{
    sotto_server *server = NULL;
    sotto_error error = {0};

    if (sotto_server_new(options, &server, &error) != SOTTO_OK)
        fail_msg("no server: %s: %s", error.what, error.why);
    return server;
}

void add_endpoint(sotto_server *server, const char *name, sotto_handler *handler,
                  sotto_call_over *over, void *user)
{
    assert_int_equal(sotto_server_endpoint(server, name, handler, over, user), SOTTO_OK);
}

void start(sotto_server *server)
{
    sotto_error error = {0};

    if (sotto_server_start(server, &error) != SOTTO_OK)
        fail_msg("no start: %s: %s", error.what, error.why);
    assert_true(strlen(sotto_server_address(server)) > 0);
}

sotto_server *echo_server(const sotto_server_options *options)
{
    sotto_server_options defaults = server_options();
    sotto_server *server = server_new(options != NULL ? options : &defaults);

    add_endpoint(server, "echo", echo, NULL, NULL);
    start(server);
    return server;
}

sotto_server *echo_server_at(sotto_server_options options, const char *address)
{
    options.listen = address;
    return echo_server(&options);
}

sotto_server *server_with(const sotto_keypair *a, const sotto_keypair *b,
                          const sotto_secrets *secrets, const char *listen)
{
    sotto_server_options o = server_options();

    o.keys[0] = a;
    o.keys[1] = b;
    o.secrets = secrets;
    if (listen != NULL)
        o.listen = listen;
    return echo_server(&o);
}

void stop(sotto_server *server)
{
    sotto_server_drain(server, WAIT_MS);
    assert_int_equal(sotto_server_wait(server), SOTTO_OK);
    sotto_server_free(server);
}

void echo(void *user, const sotto_request *request)
{
    (void)user;
    (void)sotto_answer(request->server, request->call, request->content, request->content_len);
}

void answer_text(const sotto_request *request, const char *text)
{
    require(sotto_answer(request->server, request->call, text, strlen(text)) == SOTTO_OK);
}

sotto_server_stats stats_of(const sotto_server *server)
{
    sotto_server_stats stats;

    sotto_server_get_stats(server, &stats);
    return stats;
}

void wait_for_open(const sotto_server *server, uint64_t open)
{
    int64_t until = now_ms() + WAIT_MS;

    while (stats_of(server).open != open && now_ms() < until)
        breathe();
    assert_int_equal(stats_of(server).open, open);
}

/* ---- Clients --------------------------------------------------------------------------------- */

sotto_client_options client_options(const char *address)
{
    sotto_client_options o = SOTTO_CLIENT_OPTIONS_INIT;

    o.address = address;
    o.secrets = world.client;
    o.trust = SOTTO_TRUST_ACCEPT_NEW;
    return o;
}

sotto_client *client_new(const sotto_client_options *options)
{
    sotto_client *client = NULL;
    sotto_error error = {0};

    if (sotto_client_new(options, &client, &error) != SOTTO_OK)
        fail_msg("no client: %s: %s", error.what, error.why);
    return client;
}

sotto_client *client_for(const sotto_server *server)
{
    sotto_client_options o = client_options(sotto_server_address(server));

    return client_new(&o);
}

sotto_client_stats client_stats(const sotto_client *client)
{
    sotto_client_stats stats;

    sotto_client_get_stats(client, &stats);
    return stats;
}

char *nested(size_t depth)
{
    static char text[256];

    require(2 * depth < sizeof text);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    text[2 * depth] = '\0';
    return text;
}

void call_gives(sotto_client *client, const char *endpoint, const char *content, const char *answer)
{
    sotto_reply reply;
    sotto_error error = {0};
    sotto_err err = sotto_client_call(client, endpoint, content,
                                      content != NULL ? strlen(content) : 0, NULL, &reply, &error);

    if (err != SOTTO_OK)
        fail_msg("%s: %s: %s: %s", endpoint, sotto_err_name(err), error.what, error.why);
    assert_int_equal(reply.content_len, strlen(answer));
    assert_string_equal(reply.content, answer);
    assert_null(reply.error_code);
    assert_null(reply.error_message);
    assert_null(reply.error_data);
    assert_int_equal(reply.maybe_executed, 0);
    sotto_reply_free(&reply);
}

void call_echo(sotto_client *client)
{
    call_gives(client, "echo", "{\"a\":[1,2]}", "{\"a\":[1,2]}");
}

static void check_line(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            fail_msg("control character in \"%s\"", text);
    }
}

void check_words(const sotto_error *error, sotto_err err)
{
    if (error->code != err || error->what[0] == '\0')
        fail_msg("error %s \"%s\" \"%s\" instead of %s", sotto_err_name(error->code), error->what,
                 error->why, sotto_err_name(err));
    check_line(error->what);
    check_line(error->why);
    check_line(error->hint);
}

void call_fails(sotto_client *client, const char *endpoint, const char *content, sotto_err err)
{
    sotto_reply reply;
    sotto_err got;

    memset(&last, 0, sizeof last);
    got = sotto_client_call(client, endpoint, content, content != NULL ? strlen(content) : 0, NULL,
                            &reply, &last.error);
    if (got != err)
        fail_msg("%s: %s (%s: %s) instead of %s", endpoint, sotto_err_name(got), last.error.what,
                 last.error.why, sotto_err_name(err));
    check_words(&last.error, err);
    assert_null(reply.content);
    last.has_code = reply.error_code != NULL;
    last.maybe_executed = reply.maybe_executed;
    if (reply.error_code != NULL)
        (void)snprintf(last.code, sizeof last.code, "%s", reply.error_code);
    if (reply.error_message != NULL)
        (void)snprintf(last.message, sizeof last.message, "%s", reply.error_message);
    sotto_reply_free(&reply);
}

void spawn(pthread_t *thread, void *(*run)(void *), void *user)
{
    require(pthread_create(thread, NULL, run, user) == 0);
}

void join(pthread_t thread)
{
    require(pthread_join(thread, NULL) == 0);
}

static void *run_caller(void *user)
{
    struct caller *c = user;

    c->err = sotto_client_call(c->client, c->endpoint, c->content,
                               c->content != NULL ? strlen(c->content) : 0, &c->options, &c->reply,
                               &c->error);
    return NULL;
}

void caller_start(struct caller *caller, sotto_client *client, const char *endpoint,
                  const char *content)
{
    caller->client = client;
    caller->endpoint = endpoint;
    caller->content = content;
    spawn(&caller->thread, run_caller, caller);
}

void caller_join(struct caller *caller)
{
    join(caller->thread);
}

void caller_free(struct caller *caller)
{
    sotto_reply_free(&caller->reply);
}

const char *known_servers(void)
{
    return scratch_path(".config/sotto/known_servers");
}

const char *sessions(void)
{
    return scratch_path(".local/state/sotto/sessions");
}

void assert_did(const sotto_client *client, uint64_t bootstraps, uint64_t sessions_made)
{
    assert_int_equal(client_stats(client).bootstraps, bootstraps);
    assert_int_equal(client_stats(client).sessions, sessions_made);
}

void one_call_takes(const sotto_client_options *options, uint64_t bootstraps)
{
    sotto_client *client = client_new(options);

    call_echo(client);
    assert_did(client, bootstraps, 1);
    sotto_client_free(client);
}

void one_call_fails(const sotto_client_options *options, sotto_err err, uint64_t bootstraps)
{
    sotto_client *client = client_new(options);

    call_fails(client, "echo", "1", err);
    assert_did(client, bootstraps, 0);
    assert_int_equal(last.maybe_executed, 0);
    /* it stays usable: the same once more */
    call_fails(client, "echo", "1", err);
    sotto_client_free(client);
}

void *call_in_a_loop(void *user)
{
    struct loop *loop = user;

    for (unsigned i = 0; i < loop->count; i++) {
        sotto_reply reply;
        sotto_error error = {0};
        sotto_err err = sotto_client_call(loop->client, loop->endpoint, loop->content,
                                          strlen(loop->content), NULL, &reply, &error);

        if (err == SOTTO_OK && strcmp(reply.content, loop->answer) == 0)
            loop->right++;
        else
            loop->wrong++;
        sotto_reply_free(&reply);
    }
    return NULL;
}

/* ---- Plain sockets --------------------------------------------------------------------------- */

int try_connect(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *port = strrchr(address, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int kept;

    require(fd >= 0 && port != NULL);
    in.sin_port = htons((uint16_t)atoi(port + 1));
    if (connect(fd, (struct sockaddr *)&in, sizeof in) == 0)
        return fd;
    kept = errno;
    require(close(fd) == 0);
    errno = kept;
    return -1;
}

int connect_to(const char *address)
{
    int fd = try_connect(address);

    require(fd >= 0);
    return fd;
}

int listen_on_loopback(char address[64])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(fd, 16) == 0);
    require(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
    (void)snprintf(address, 64, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

int accept_from(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    int fd;

    require(poll(&p, 1, WAIT_MS) == 1);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    require(fd >= 0);
    return fd;
}

void read_to_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char block[4096];
    ssize_t n;

    do {
        require(poll(&p, 1, WAIT_MS) == 1);
        n = read(fd, block, sizeof block);
    } while (n > 0);
    require(n == 0 || errno == ECONNRESET);
}
