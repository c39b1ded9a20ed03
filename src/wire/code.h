/* code.h - error codes as numbers that stay the same when enum err grows. */
#ifndef HOLDFAST_WIRE_CODE_H
#define HOLDFAST_WIRE_CODE_H

#include <holdfast/err.h>

#include <stdint.h>

/* What cannot be told a peer (trouble of the own disk) becomes ERR_INTERNAL. */
uint8_t code_of_err(enum err err);

/* False if no error has this number. */
bool code_to_err(uint8_t code, enum err *out);

#endif
