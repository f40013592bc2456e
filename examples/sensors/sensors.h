/* The protocol of the sensors example: a protocol as the author of a foreign publisher could have
 * designed it twenty years ago. Each reader must follow it.
 *
 *   section   NAME          a struct sensors, written by the publisher alone
 *   mutex     NAME.mutex    held while the struct is written, and while it is copied
 *   event     NAME.event    auto-reset, set after each update
 *
 * All numbers are little-endian. The section has the struct at its beginning. */
#ifndef SENSORS_H
#define SENSORS_H

#include <stdint.h>

#define SENSORS_MAGIC 0x534e4553u /* "SENS" */
#define SENSORS_VERSION 1u
#define SENSORS_COUNT 8u
#define SENSORS_PER_SECOND 50u

struct sensors {
    uint32_t magic;
    uint32_t version;
    uint32_t count;  /* the number of values */
    uint32_t update; /* incremented by one with every update */
    double values[SENSORS_COUNT];
};

#endif
