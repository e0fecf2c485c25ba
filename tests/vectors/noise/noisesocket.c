/*
 * Connections of NoiseSocket, whole frames: the responder (bob) accepts, switches to another
 * protocol, asks for a retry, or rejects.
 *
 * The parties take turns, from alice's first frame to the last transport message; in a one-way
 * pattern the initiator goes on.  After a switch bob is the initiator of the Noise protocol.
 */
#include "formats.h"
#include "play.h"
#include "sotto/noisesocket.h"
#include "tree.h"

enum { ALICE, BOB };

struct connection {
    struct tree *tree;
    const struct node *node;
    struct trouble *trouble;
    enum manner manner;
    struct play initial, other; /* other: after a switch or a retry */
    struct play *now;
    unsigned initiator; /* of that one: ALICE or BOB */
    unsigned step;      /* messages of that one so far */
    sotto_noisesocket_history history;
};

/* ---- Frames ---------------------------------------------------------------------------------- */

enum kind { HANDSHAKE, TRANSPORT };

static sotto_err read_frame(enum kind kind, struct si_span stream, size_t message_max,
                            sotto_noisesocket_frame *frame, sotto_noisesocket_progress *progress)
{
    const sotto_noisesocket_limits limits = {SOTTO_NOISESOCKET_FIELD_MAX, message_max};

    frame->negotiation = sotto_no_bytes();
    return kind == HANDSHAKE
               ? sotto_noisesocket_read_handshake(bytes_of(stream), &limits, frame, progress)
               : sotto_noisesocket_read_transport(bytes_of(stream), &limits, &frame->message,
                                                  progress);
}

static sotto_err write_frame(enum kind kind, const sotto_noisesocket_frame *frame, sotto_room *out)
{
    return kind == HANDSHAKE ? sotto_noisesocket_write_handshake(frame, out)
                             : sotto_noisesocket_write_transport(frame->message, out);
}

/* However little of a frame has arrived, more is asked for, and never more than the frame has. */
static bool waits_for_the_rest(struct trouble *trouble, enum kind kind, struct si_span wire)
{
    for (size_t len = 0; len < wire.len; len++) {
        sotto_noisesocket_frame frame;
        sotto_noisesocket_progress progress;
        sotto_err err = read_frame(kind, si_span(wire.ptr, len), SOTTO_NOISESOCKET_FIELD_MAX,
                                   &frame, &progress);

        if (!same_err(trouble, "read of a part of a frame", err, SOTTO_E_AGAIN))
            return false;
        if (progress.used != 0 || progress.needed <= len || progress.needed > wire.len ||
            frame.message.len != 0)
            return wrong(trouble, "%zu of %zu bytes: asks for %zu", len, wire.len, progress.needed);
    }
    return true;
}

/* Reads WIRE, which holds NEGOTIATION, and writes it again.  FRAME points into WIRE. */
static bool frame_is(struct trouble *trouble, enum kind kind, struct si_span wire,
                     struct si_span negotiation, sotto_noisesocket_frame *frame)
{
    static uint8_t place[4 + 2 * SOTTO_NOISESOCKET_FIELD_MAX];
    sotto_room out = sotto_room_of(place, sizeof place);
    sotto_noisesocket_frame none;
    sotto_noisesocket_progress progress;

    if (!waits_for_the_rest(trouble, kind, wire) ||
        !same_err(trouble, "read of a frame",
                  read_frame(kind, wire, SOTTO_NOISESOCKET_FIELD_MAX, frame, &progress),
                  SOTTO_OK) ||
        !same_number(trouble, "length of a frame", progress.used, wire.len) ||
        !same_bytes(trouble, "negotiation data",
                    si_span(frame->negotiation.ptr, frame->negotiation.len), negotiation) ||
        !same_err(trouble, "write of a frame", write_frame(kind, frame, &out), SOTTO_OK) ||
        !same_bytes(trouble, "frame", span_of(&out), wire))
        return false;
    return frame->message.len == 0 ||
           same_err(trouble, "read of a frame above the limit",
                    read_frame(kind, wire, frame->message.len - 1, &none, &progress),
                    SOTTO_E_TOO_LARGE);
}

/* ---- Protocols ------------------------------------------------------------------------------- */

static void read_psks(struct connection *c, const struct node *psk, struct side *side)
{
    for (side->psks = 0; psk != NULL; psk = psk->next) {
        if (side->psks == SOTTO_PSK_POSITIONS || psk->text == NULL)
            malformed(c->tree->file, "PSKs");
        side->psk[side->psks++] = tree_unhex(c->tree, psk->text, strlen(psk->text));
    }
}

static void read_side(struct connection *c, const struct node *block, unsigned party,
                      struct side *side)
{
    static const char *const names[2][4] = {
        {"alice_static", "alice_ephemeral", "alice_remote_static", "alice_psks"},
        {"bob_static", "bob_ephemeral", "bob_remote_static", "bob_psks"},
    };
    const char *const *name = names[party];

    side->s = tree_bytes(c->tree, block, name[0]);
    side->e = tree_bytes(c->tree, block, name[1]);
    side->rs = tree_bytes(c->tree, block, name[2]);
    read_psks(c, tree_list(tree_member(block, name[3]) != NULL ? block : c->node, name[3]), side);
}

/* The prologue that PARTY makes for the protocol of STAGE, with room that is just enough. */
static bool prologue_of(struct connection *c, sotto_noisesocket_stage stage, unsigned party,
                        struct si_span *out)
{
    struct si_span own =
        tree_bytes(c->tree, c->node, party == ALICE ? "alice_prologue" : "bob_prologue");
    sotto_room room, small;
    size_t len;

    c->history.application = bytes_of(own);
    len = sotto_noisesocket_prologue_len(stage, &c->history);
    if (len == 0)
        return wrong(c->trouble, "a prologue without length");
    room = sotto_room_of(tree_take(c->tree, len), len);
    small = sotto_room_of(room.ptr, len - 1);
    if (!same_err(c->trouble, "prologue without room",
                  sotto_noisesocket_prologue(stage, &c->history, &small), SOTTO_E_BUFFER) ||
        !same_err(c->trouble, "prologue", sotto_noisesocket_prologue(stage, &c->history, &room),
                  SOTTO_OK) ||
        !same_number(c->trouble, "length of the prologue", room.len, len))
        return false;
    *out = span_of(&room);
    return true;
}

/* Begins the protocol of the member NAME.  A fallback takes over from the initial one. */
static bool begin(struct connection *c, const char *name, sotto_noisesocket_stage stage,
                  struct play *play)
{
    const struct node *block = tree_member(c->node, name);
    struct plan plan = {.manner = c->manner};
    sotto_protocol_info info;

    c->now = play;
    c->initiator = stage == SOTTO_NOISESOCKET_AFTER_SWITCH ? BOB : ALICE;
    c->step = 0;
    plan.protocol = tree_text(block, "protocol_name");
    if (plan.protocol == NULL)
        malformed(c->tree->file, "a name is missing");
    if (!same_err(c->trouble, plan.protocol, sotto_protocol_describe(plan.protocol, &info, NULL),
                  SOTTO_OK))
        return false;
    if (info.fallback != 0)
        plan.first = &c->initial;
    for (unsigned party = ALICE; party <= BOB; party++) {
        struct side *side = &plan.side[party == c->initiator ? INITIATOR : RESPONDER];

        read_side(c, block, party, side);
        if (!prologue_of(c, stage, party, &side->prologue))
            return false;
    }
    return play_begin(play, &plan, c->trouble);
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* What is encrypted for the body of MESSAGE, and the way back. */
static bool payload_of(struct connection *c, const struct node *message, bool encrypted,
                       struct si_span *payload)
{
    static uint8_t place[2 + SOTTO_NOISESOCKET_BODY_MAX];
    struct si_span body = tree_bytes(c->tree, message, "message_body");
    sotto_room out = sotto_room_of(place, sizeof place);
    sotto_bytes again = sotto_no_bytes();

    *payload = body;
    if (!encrypted)
        return true;
    if (!same_err(c->trouble, "write of a payload",
                  sotto_noisesocket_write_payload(bytes_of(body),
                                                  tree_number(message, "padded_length"), &out),
                  SOTTO_OK) ||
        !same_err(c->trouble, "read of a payload",
                  sotto_noisesocket_read_payload(sotto_room_bytes(&out), &again), SOTTO_OK))
        return false;
    *payload = span_of(&out);
    return same_bytes(c->trouble, "body", si_span(again.ptr, again.len), body);
}

/* Does the initiator hold another key than the responder's?  That is why a responder falls back. */
static bool has_wrong_key(const struct play *play)
{
    struct si_span rs = play->plan.side[INITIATOR].rs;

    return rs.ptr != NULL && memcmp(rs.ptr, play->s[RESPONDER].bytes, rs.len) != 0;
}

static bool handshake_message(struct connection *c, unsigned from, const struct node *message,
                              struct si_span noise)
{
    const sotto_handshake *writer = c->now->hs[from], *reader = c->now->hs[!from];
    int encrypted = sotto_handshake_next_encrypted(writer);
    struct si_span payload;

    c->step++;
    if (!same_number(c->trouble, "the reader's view of the payload",
                     (uint64_t)sotto_handshake_next_encrypted(reader), (uint64_t)encrypted) ||
        !payload_of(c, message, encrypted != 0, &payload))
        return false;
    return has_wrong_key(c->now) ? play_refused(c->now, from, payload, noise)
                                 : play_handshake(c->now, from, payload, noise);
}

static bool transport_message(struct connection *c, unsigned from, const struct node *message)
{
    struct si_span wire = tree_bytes(c->tree, message, "message"), payload;
    sotto_noisesocket_frame frame;

    if (c->step == c->now->info.messages &&
        !play_split(c->now, tree_bytes(c->tree, c->node, "handshake_hash")))
        return false;
    c->step++;
    return frame_is(c->trouble, TRANSPORT, wire, si_span(NULL, 0), &frame) &&
           payload_of(c, message, true, &payload) &&
           play_transport(c->now, from, sotto_no_ad(), payload,
                          si_span(frame.message.ptr, frame.message.len));
}

/* What the responder's first frame should say, by what the vector has besides. */
static sotto_noisesocket_answer wanted_answer(const struct connection *c,
                                              const struct node *message)
{
    if (tree_member(c->node, "switch") != NULL)
        return SOTTO_NOISESOCKET_SWITCH;
    return tree_member(message, "message_body") == NULL ? SOTTO_NOISESOCKET_RETRY_OR_REJECT
                                                        : SOTTO_NOISESOCKET_ACCEPT;
}

/* Message INDEX of the connection is a handshake frame: does another protocol begin with it? */
static bool turn(struct connection *c, unsigned index, const struct node *message,
                 const sotto_noisesocket_frame *frame)
{
    if (index == 0) {
        c->history.initial = *frame;
        return begin(c, "initial", SOTTO_NOISESOCKET_INITIAL, &c->initial);
    }
    if (index == 1) {
        c->history.response = frame->negotiation;
        if (!same_number(c->trouble, "answer", sotto_noisesocket_answer_of(frame),
                         wanted_answer(c, message)))
            return false;
        if (tree_member(c->node, "switch") != NULL)
            return begin(c, "switch", SOTTO_NOISESOCKET_AFTER_SWITCH, &c->other);
    }
    if (index == 2 && tree_member(c->node, "retry") != NULL) {
        c->history.retry = frame->negotiation;
        return begin(c, "retry", SOTTO_NOISESOCKET_AFTER_RETRY, &c->other);
    }
    return true;
}

static bool connection_message(struct connection *c, unsigned index, const struct node *message)
{
    sotto_noisesocket_frame frame;
    unsigned from;

    if (c->now != NULL && c->step >= c->now->info.messages && index > 1 &&
        !(index == 2 && tree_member(c->node, "retry") != NULL))
        return transport_message(
            c, c->now->info.one_way != 0 || index % 2 == c->initiator ? INITIATOR : RESPONDER,
            message);
    if (!frame_is(c->trouble, HANDSHAKE, tree_bytes(c->tree, message, "message"),
                  tree_bytes(c->tree, message, "negotiation_data"), &frame) ||
        !turn(c, index, message, &frame))
        return false;
    if (tree_member(message, "message_body") == NULL)
        return index == 1 && frame.message.len == 0; /* retry or reject */
    from = index % 2 == c->initiator ? INITIATOR : RESPONDER;
    return handshake_message(c, from, message, si_span(frame.message.ptr, frame.message.len));
}

static bool play_connection(struct connection *c)
{
    const struct node *message = tree_list(c->node, "messages"), *last = NULL;

    for (unsigned index = 0; message != NULL; index++, message = message->next) {
        if (!connection_message(c, index, message))
            return wrong(c->trouble, "message %u", index);
        last = message;
    }
    if (last == NULL)
        return wrong(c->trouble, "no messages");
    /* a reject is the last message; otherwise both sides have come to transport messages */
    return c->step > c->now->info.messages ||
           (tree_member(last, "message_body") == NULL && tree_member(c->node, "retry") == NULL) ||
           wrong(c->trouble, "ends within the handshake");
}

static void run_connection(struct tree *tree, const struct node *node, struct report *report)
{
    const struct node *initial = tree_member(node, "initial");
    const char *name = initial == NULL ? NULL : tree_text(initial, "protocol_name");
    struct trouble trouble = {""};

    if (name == NULL)
        malformed(tree->file, "a name is missing");
    if (!is_ours(report, name))
        return;
    for (enum manner manner = ORDERED; manner < MANNERS && trouble.text[0] == '\0'; manner++) {
        struct connection c = {tree, node, &trouble, manner, .now = NULL};

        (void)play_connection(&c);
        play_end(&c.other);
        play_end(&c.initial);
    }
    report_ran(report, name, &trouble);
}

void run_noisesocket(struct si_span text, const char *which, struct report *report)
{
    struct tree tree = tree_read(report->file, text);

    for (const struct node *node = tree_list(tree.root, which); node != NULL; node = node->next)
        run_connection(&tree, node, report);
    tree_free(&tree);
}
