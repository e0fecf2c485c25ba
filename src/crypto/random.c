#include <sys/random.h>

#include "crypto/crypto.h"

/* Not libsodium's generator: that one aborts the process where getentropy() reports. */
sotto_err si_random(void *out, size_t len)
{
    enum { AT_ONCE = 256 }; /* getentropy() gives no more */
    uint8_t *p = out;

    for (size_t done = 0; done < len;) {
        size_t n = len - done < AT_ONCE ? len - done : AT_ONCE;

        if (getentropy(p + done, n) != 0) {
            si_wipe(out, len);
            return SOTTO_E_RANDOM;
        }
        done += n;
    }
    return SOTTO_OK;
}

uint32_t si_random_below(uint32_t bound)
{
    /* 2^32 mod bound: without the lowest so many numbers, each remainder is equally frequent. */
    uint32_t uneven = (0U - bound) % bound, r;

    do {
        if (si_random(&r, sizeof r) != SOTTO_OK)
            return 0;
    } while (r < uneven);
    return r % bound;
}
