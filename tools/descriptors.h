/*
 * descriptors.h: how many connections a process may have.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/* A soft limit of 1024 descriptors, as users have it, would end below a server's own limit of
 * connections: take what the hard limit allows, and do with it. */
void raise_descriptor_limit(void);

#endif
