/* Machine code of a cartridge, made at run time, beside the interpreter.
 *
 * Some addresses of a translated cartridge are entries: their handler calls the machine code, which
 * runs until the frame ends or until it meets what it cannot do. The interpreter then runs at least
 * one instruction, up to the next entry. Both give the same bits, so it does not matter where one
 * takes over from the other, and entries may appear while a console runs.
 *
 * The machine code refers to nothing: it finds the cartridge through its Board and the functions
 * that it calls in the Program. So it can be kept in a file and put anywhere in memory.
 */
#ifndef FASTPONG_TRANSLATION_H
#define FASTPONG_TRANSLATION_H

#include <stddef.h>

#include "program.h"

/* Numbers that a translator needs: offsets in structs, registers, limits. */
typedef struct {
    const char *name;
    uint64_t value;
} Fact;

/* A row of instructions.h. Kind: r read, w write, m modify, u unstable write, i implied, b branch,
   c control. */
typedef struct {
    uint8_t opcode, length, cycles;
    char kind;
    const char *name, *where, *variant;
} Row;

const Fact *translation_facts(int32_t *count);
const Row *translation_rows(int32_t *count);

/* Copy machine code into executable memory. NULL, with errno set, where that is forbidden. */
void *translation_load(const uint8_t *code, size_t size);
void translation_unload(void *code, size_t size);

/* Let the interpreter enter machine code at some addresses. Consoles may be running. */
void translation_attach(Program *program, const void *code, const uint16_t *entries,
                        int32_t count);

/* How often each address was executed, and left for another than the next instruction's. */
typedef struct {
    uint32_t run[ROM_SIZE], taken[ROM_SIZE];
    uint8_t jumped[ROM_SIZE]; /* reached by an instruction whose target is not constant */
} Profile;

/* Play some frames from power-on with changing inputs and count. */
void translation_profile(const Program *program, Profile *profile, int32_t frames);

void translation_services(Services *services);

#endif
