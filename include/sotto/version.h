/*
 * sotto/version.h: which Sotto this is.
 */
#ifndef SOTTO_VERSION_H
#define SOTTO_VERSION_H

#include "sotto/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* major * 10000 + minor * 100 + patch, of the headers. */
#define SOTTO_VERSION_NUM 100
#define SOTTO_VERSION "0.1.0"

/* The same text of the library that runs.  Lives for ever. */
SOTTO_API const char *sotto_version(void);

#ifdef __cplusplus
}
#endif
#endif
