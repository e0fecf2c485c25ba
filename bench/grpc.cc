/*
 * gRPC over TLS 1.3: one unary method that sends back what came.  Both sides are asynchronous, with
 * one completion queue and one thread; each connection is a channel that shares nothing with the
 * others.
 */
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <absl/synchronization/mutex.h>
#include <grpcpp/grpcpp.h>

#include "echo.grpc.pb.h"
#include "load.h"

namespace
{

using sotto::bench::Content;
using sotto::bench::Peer;

const struct load_program program = {"bench_grpc", LOAD_PLAIN | LOAD_CERT | LOAD_KEY,
                                     LOAD_PLAIN | LOAD_CERT};

const int message_max = LOAD_SIZE_MAX + 1024; /* the content and what stands around it */

gpr_timespec in_ns(int64_t ns)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(ns, GPR_TIMESPAN));
}

/* Empty: it cannot be read, which was explained. */
std::string read_file(const char *path)
{
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;

    if (file)
        text << file.rdbuf();
    if (!file || text.str().empty())
        (void)std::fprintf(stderr, "bench_grpc: cannot read %s\n", path);
    return text.str();
}

/* ---- Server ---------------------------------------------------------------------------------- */

/* What gRPC wants new for each call. */
struct ServerTurn {
    grpc::ServerContext context;
    grpc::ServerAsyncResponseWriter<Content> writer{&context};
};

/* One call at a time, again and again. */
class ServerCall
{
  public:
    ServerCall(Peer::AsyncService *service, grpc::ServerCompletionQueue *queue)
        : service_(service), queue_(queue)
    {
        wait();
    }

    /* What it waited for has come, or not (OK).  False: the server ends, and this call has. */
    bool go_on(bool ok)
    {
        if (!answering_ && !ok)
            return false;
        /* When the answer could not be sent, its client is gone; the next call is waited for. */
        if (answering_)
            wait();
        else
            answer();
        return true;
    }

  private:
    void wait()
    {
        answering_ = false;
        turn_.emplace();
        service_->RequestEcho(&turn_->context, &content_, &turn_->writer, queue_, queue_, this);
    }

    void answer()
    {
        answering_ = true;
        turn_->writer.Finish(content_, grpc::Status::OK, this);
    }

    Peer::AsyncService *service_;
    grpc::ServerCompletionQueue *queue_;
    std::optional<ServerTurn> turn_;
    Content content_; /* of the request and of the answer */
    bool answering_ = false;
};

/* Null: wrong arguments or files, which was explained. */
std::shared_ptr<grpc::ServerCredentials> server_credentials(const load_options &options)
{
    grpc::SslServerCredentialsOptions tls;

    if (options.plain)
        return grpc::InsecureServerCredentials();
    if (options.cert == nullptr || options.key == nullptr) {
        (void)std::fprintf(stderr, "bench_grpc: serve takes --cert FILE and --key FILE, "
                                   "or --plain\n");
        return nullptr;
    }
    std::string cert = read_file(options.cert), key = read_file(options.key);
    if (cert.empty() || key.empty())
        return nullptr;
    tls.pem_key_cert_pairs.push_back({key, cert});
    return grpc::SslServerCredentials(tls);
}

/* The signal may come while the server is being made. */
struct Stop {
    std::promise<grpc::Server *> server;

    static void now(void *self)
    {
        /* Calls that are under way may end, but not for long. */
        static_cast<Stop *>(self)->server.get_future().get()->Shutdown(in_ns(1000000000));
    }
};

/* As many calls are waited for as are in flight in the largest of the measurements. */
void answer_all(Peer::AsyncService *service, grpc::ServerCompletionQueue *queue)
{
    const size_t count = 4096;
    std::vector<std::unique_ptr<ServerCall>> calls;
    size_t left = count;
    void *tag;
    bool ok;

    for (size_t i = 0; i < count; i++)
        calls.push_back(std::make_unique<ServerCall>(service, queue));
    while (left > 0 && queue->Next(&tag, &ok))
        if (!static_cast<ServerCall *>(tag)->go_on(ok))
            left--;
}

int serve(const load_options &options)
{
    std::shared_ptr<grpc::ServerCredentials> credentials;
    std::unique_ptr<grpc::ServerCompletionQueue> queue;
    std::unique_ptr<grpc::Server> server;
    Peer::AsyncService service;
    grpc::ServerBuilder builder;
    Stop stop;
    void *tag;
    bool ok;
    int port = 0;

    load_on_stop(Stop::now, &stop); /* before gRPC starts threads, for credentials already */
    credentials = server_credentials(options);
    if (credentials == nullptr)
        std::_Exit(2); /* the thread that waits for signals has nothing to stop */
    builder.AddListeningPort("127.0.0.1:0", credentials, &port);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetMaxReceiveMessageSize(message_max);
    builder.SetMaxSendMessageSize(message_max);
    builder.RegisterService(&service);
    queue = builder.AddCompletionQueue();
    server = builder.BuildAndStart();
    if (server == nullptr || port == 0) {
        (void)std::fprintf(stderr, "bench_grpc: cannot listen; are certificate and key a pair?\n");
        std::_Exit(1);
    }
    stop.server.set_value(server.get());
    load_listening(static_cast<uint16_t>(port), nullptr);

    answer_all(&service, queue.get());

    load_stopped();
    queue->Shutdown();
    while (queue->Next(&tag, &ok))
        continue;
    return 0;
}

/* ---- Load ------------------------------------------------------------------------------------ */

/* What all calls share. */
struct Client {
    struct load load;
    const load_options *options;
    std::string target;
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    grpc::ChannelArguments arguments;
    grpc::CompletionQueue queue;
    Content content;

    std::shared_ptr<grpc::Channel> connect() const
    {
        return grpc::CreateCustomChannel(target, credentials, arguments);
    }
};

/* One call at a time, again and again, on one channel; or each on a channel of its own. */
class ClientCall
{
  public:
    explicit ClientCall(Client *client) : client_(client)
    {
    }

    void begin(const std::shared_ptr<grpc::Channel> &channel, int64_t now)
    {
        if (stub_ == nullptr)
            stub_ = Peer::NewStub(channel);
        began_ = now;
        turn_.emplace();
        reader_ = stub_->AsyncEcho(&turn_->context, client_->content, &client_->queue);
        reader_->Finish(&answer_, &turn_->status, this);
        load_sent(&client_->load, 1);
    }

    void begin_session()
    {
        int64_t now = load_now(); /* a session's call begins with its connection */

        begin(client_->connect(), now);
    }

    void answered(int64_t now)
    {
        struct load *load = &client_->load;

        if (!is_good())
            return;
        load_answered(load, began_, now);
        if (client_->options->sessions) {
            /* The channel lives as long as something of it does. */
            reader_.reset();
            turn_.reset();
            stub_.reset();
            if (load_goes_on(load))
                begin_session();
        } else if (load_goes_on(load)) {
            begin(nullptr, now);
        }
    }

  private:
    struct Turn {
        grpc::ClientContext context;
        grpc::Status status;
    };

    bool is_good()
    {
        struct load *load = &client_->load;

        if (!turn_->status.ok())
            load_fail(load, "a call failed: %s", turn_->status.error_message().c_str());
        else if (answer_.bytes().size() != client_->options->size ||
                 (load->phase == LOAD_WARM_UP && /* the measured part is for the echo alone */
                  answer_.bytes() != client_->content.bytes()))
            load_fail(load, "other bytes came back than were sent");
        else
            return true;
        return false;
    }

    Client *client_;
    std::unique_ptr<Peer::Stub> stub_;
    std::optional<Turn> turn_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Content>> reader_;
    Content answer_;
    int64_t began_ = 0;
};

/* Null: wrong arguments or files, which was explained. */
std::shared_ptr<grpc::ChannelCredentials> client_credentials(const load_options &options)
{
    grpc::SslCredentialsOptions tls;

    if (options.plain)
        return grpc::InsecureChannelCredentials();
    if (options.cert == nullptr) {
        (void)std::fprintf(stderr, "bench_grpc: load takes --cert FILE, or --plain\n");
        return nullptr;
    }
    tls.pem_root_certs = read_file(options.cert);
    if (tls.pem_root_certs.empty())
        return nullptr;
    return grpc::SslCredentials(tls);
}

grpc::ChannelArguments channel_arguments(const load_options &options)
{
    grpc::ChannelArguments arguments;

    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0); /* an error is to be seen */
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetMaxReceiveMessageSize(message_max);
    arguments.SetMaxSendMessageSize(message_max);
    if (!options.plain)
        arguments.SetSslTargetNameOverride("localhost");
    return arguments;
}

/* All of them at once, then wait for each. */
std::vector<std::shared_ptr<grpc::Channel>> open_channels(Client *client)
{
    const int64_t open_ns = INT64_C(5000000000);
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    gpr_timespec deadline = in_ns(open_ns);

    for (unsigned i = 0; i < client->options->connections; i++) {
        channels.push_back(client->connect());
        (void)channels.back()->GetState(true);
    }
    for (const auto &channel : channels)
        if (!channel->WaitForConnected(deadline)) {
            load_fail(&client->load, "cannot connect: not all channels were open after 5 seconds");
            break;
        }
    return channels;
}

void begin_all(Client *client, std::deque<ClientCall> *calls)
{
    const load_options &options = *client->options;
    std::vector<std::shared_ptr<grpc::Channel>> channels;

    if (!options.sessions)
        channels = open_channels(client);
    if (client->load.phase == LOAD_ENDED)
        return;
    load_begin(&client->load, load_now());
    for (unsigned i = 0; i < options.connections; i++)
        for (unsigned k = 0; k < options.in_flight; k++) {
            calls->emplace_back(client);
            if (options.sessions)
                calls->back().begin_session();
            else
                calls->back().begin(channels[i], load_now());
        }
}

/* Until the run is over; one look at the clock a call. */
void run(Client *client)
{
    struct load *load = &client->load;
    int64_t wake = 0;
    gpr_timespec deadline = {};
    void *tag;
    bool ok;

    while (load->phase != LOAD_ENDED) {
        if (wake != load->wake) {
            wake = load->wake;
            deadline = in_ns(wake - load_now());
        }
        auto next = client->queue.AsyncNext(&tag, &ok, deadline);
        int64_t now = load_now();
        if (next == grpc::CompletionQueue::GOT_EVENT)
            static_cast<ClientCall *>(tag)->answered(now);
        load_turn(load, now);
    }
}

int run_load(const load_options &options)
{
    /* Never destroyed: a run that failed has calls under way, whose memory they are. */
    auto *client = new Client();
    auto *calls = new std::deque<ClientCall>();
    int status;

    client->options = &options;
    client->credentials = client_credentials(options);
    if (client->credentials == nullptr)
        return 2;
    load_init(&client->load, &program, &options);
    client->arguments = channel_arguments(options);
    client->target = std::string(options.host) + ":" + std::to_string(options.port);
    uint8_t *content = load_content(&options);
    client->content.set_bytes(content, options.size);
    std::free(content);

    begin_all(client, calls);
    run(client);
    status = load_report(&client->load);
    (void)std::fflush(stdout);
    std::_Exit(status);
}

} // namespace

int main(int argc, char **argv)
{
    load_options options;
    int status = load_parse(argc, argv, &program, &options);

    if (status >= 0)
        return status;
    load_raise_limits();
    /* Debian builds gRPC's locks with a search for deadlocks; it would be unfair to measure it. */
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return options.serve ? serve(options) : run_load(options);
}
