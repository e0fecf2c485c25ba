#include <stdlib.h>

#include "noise/internal.h"

_Static_assert((int)SOTTO_DATAGRAM_WINDOW == (int)SI_WINDOW, "sotto/noise.h");
_Static_assert((int)SOTTO_NOISE_TAG_LEN == (int)SI_TAG_LEN, "Noise 4.2");
_Static_assert(SOTTO_NOISE_TRANSPORT_MAX == SOTTO_NOISE_MESSAGE_MAX - SOTTO_NOISE_TAG_LEN,
               "Noise 3");

/* ---- One message ----------------------------------------------------------------------------- */

/* May these be used at all?  Nothing has been written yet. */
static bool can_begin(const struct si_cipher_state *cs, sotto_ad ad, sotto_bytes in,
                      sotto_room *out)
{
    return si_room_open(out) && cs->has_key && si_bytes_ok(ad.ptr, ad.len) && ad.len <= INT32_MAX &&
           si_bytes_ok(in.ptr, in.len);
}

/* Input and output are the same place, or have nothing in common. */
static bool places_ok(sotto_ad ad, sotto_bytes in, const sotto_room *out, size_t out_len)
{
    return !si_overlap(ad.ptr, ad.len, out->ptr, out_len) &&
           (in.ptr == out->ptr || !si_overlap(in.ptr, in.len, out->ptr, out_len));
}

static sotto_err encrypt(struct si_cipher_state *cs, sotto_ad ad, sotto_bytes plaintext,
                         sotto_room *message)
{
    size_t len = plaintext.len + SI_TAG_LEN;
    sotto_err err;

    if (!can_begin(cs, ad, plaintext, message))
        return SOTTO_E_USAGE;
    if (plaintext.len > SOTTO_NOISE_TRANSPORT_MAX)
        return SOTTO_E_TOO_LARGE;
    if (message->cap < len)
        return SOTTO_E_BUFFER;
    if (!places_ok(ad, plaintext, message, len))
        return SOTTO_E_USAGE;
    err =
        si_cipher_encrypt(cs, si_span(ad.ptr, ad.len), plaintext.ptr, plaintext.len, message->ptr);
    if (err == SOTTO_OK)
        message->len = len;
    else if (err != SOTTO_E_NONCE)
        si_wipe(message->ptr, len); /* plaintext must not be taken for ciphertext */
    return err;
}

/* With the nonce *N, or with the next one (NULL). */
static sotto_err decrypt(struct si_cipher_state *cs, const uint64_t *n, sotto_ad ad,
                         sotto_bytes message, sotto_room *plaintext)
{
    size_t len = message.len - SI_TAG_LEN;
    sotto_err err;

    if (!can_begin(cs, ad, message, plaintext))
        return SOTTO_E_USAGE;
    if (message.len < SI_TAG_LEN || message.len > SOTTO_NOISE_MESSAGE_MAX)
        return SOTTO_E_AUTH;
    if (plaintext->cap < len)
        return SOTTO_E_BUFFER;
    if (!places_ok(ad, message, plaintext, len))
        return SOTTO_E_USAGE;
    err = n == NULL ? si_cipher_decrypt(cs, si_span(ad.ptr, ad.len), message.ptr, message.len,
                                        plaintext->ptr)
                    : si_cipher_decrypt_at(cs, *n, si_span(ad.ptr, ad.len), message.ptr,
                                           message.len, plaintext->ptr);
    if (err == SOTTO_OK)
        plaintext->len = len;
    return err;
}

static void wipe(struct si_directions *by)
{
    si_cipher_wipe(&by->tx);
    si_cipher_wipe(&by->rx);
}

/* ---- Ordered --------------------------------------------------------------------------------- */

sotto_err sotto_transport_encrypt(sotto_transport *transport, sotto_ad ad, sotto_bytes plaintext,
                                  sotto_room *message)
{
    return encrypt(&transport->by.tx, ad, plaintext, message);
}

sotto_err sotto_transport_decrypt(sotto_transport *transport, sotto_ad ad, sotto_bytes message,
                                  sotto_room *plaintext)
{
    return decrypt(&transport->by.rx, NULL, ad, message, plaintext);
}

sotto_err sotto_transport_rekey_sending(sotto_transport *transport)
{
    return si_cipher_rekey(&transport->by.tx);
}

sotto_err sotto_transport_rekey_receiving(sotto_transport *transport)
{
    return si_cipher_rekey(&transport->by.rx);
}

uint64_t sotto_transport_sending_nonce(const sotto_transport *transport)
{
    return transport->by.tx.n;
}

uint64_t sotto_transport_receiving_nonce(const sotto_transport *transport)
{
    return transport->by.rx.n;
}

void sotto_transport_free(sotto_transport *transport)
{
    if (transport != NULL)
        wipe(&transport->by);
    free(transport);
}

/* ---- Datagrams ------------------------------------------------------------------------------- */

sotto_err sotto_datagrams_encrypt(sotto_datagrams *datagrams, sotto_ad ad, sotto_bytes plaintext,
                                  sotto_room *message, uint64_t *nonce)
{
    if (!si_room_open(message) || nonce == NULL)
        return SOTTO_E_USAGE;
    *nonce = datagrams->by.tx.n;
    return encrypt(&datagrams->by.tx, ad, plaintext, message);
}

sotto_err sotto_datagrams_decrypt(sotto_datagrams *datagrams, uint64_t nonce, sotto_ad ad,
                                  sotto_bytes message, sotto_room *plaintext)
{
    sotto_err err;

    if (!can_begin(&datagrams->by.rx, ad, message, plaintext))
        return SOTTO_E_USAGE;
    if (!si_window_is_new(&datagrams->received, nonce))
        return SOTTO_E_REPLAY;
    err = decrypt(&datagrams->by.rx, &nonce, ad, message, plaintext);
    if (err == SOTTO_OK)
        si_window_accept(&datagrams->received, nonce);
    return err;
}

sotto_err sotto_datagrams_rekey_sending(sotto_datagrams *datagrams)
{
    return si_cipher_rekey(&datagrams->by.tx);
}

sotto_err sotto_datagrams_rekey_receiving(sotto_datagrams *datagrams)
{
    return si_cipher_rekey(&datagrams->by.rx);
}

uint64_t sotto_datagrams_sending_nonce(const sotto_datagrams *datagrams)
{
    return datagrams->by.tx.n;
}

void sotto_datagrams_free(sotto_datagrams *datagrams)
{
    if (datagrams != NULL)
        wipe(&datagrams->by);
    free(datagrams);
}
