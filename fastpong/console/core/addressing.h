/* Where operands are: the addressing modes, each in the variants that instructions.h names.
 *
 * Memory, by address lines 12, 9 and 7: 1xx cartridge, 0x0 TIA, 001 RAM, 011 RIOT. An address on
 * the zero page can only mean TIA or RAM.
 *
 * A TIA read leaves six bits undriven. They hold what the bus carried last: `bus`, the last byte of
 * the instruction or of its pointer.
 */
#ifndef FASTPONG_ADDRESSING_H
#define FASTPONG_ADDRESSING_H

#include "operations.h"
#include "program.h"
#include "tia.h"

enum {
    IN_CARTRIDGE = 0x1000,
    NOT_TIA = 0x80,
    IN_RIOT = 0x200,
};

/* Variants, in no particular order. step.c runs those without a place in their names. */
enum {
    variant_imm, variant_zp_ram, variant_zp_tia, variant_zp, variant_zpx, variant_zpy,
    variant_abs_rom, variant_abs_ram, variant_abs_tia, variant_abs_riot, variant_abs,
    variant_abx_rom, variant_abx, variant_abx_crossing,
    variant_aby_rom, variant_aby, variant_aby_crossing,
    variant_izx, variant_izy_ram, variant_izy, variant_izy_crossing,
    variant_implied, variant_branch, variant_control,
};

#define MACHINE Cpu *cpu, Console *console, const Board *board, const Decoded *in
#define PASS cpu, console, board, in

typedef struct {
    uint16_t address;
    uint8_t bus;
} Operand;

INLINE uint8_t read_zero_page(Cpu *cpu, Console *console, const Board *board, uint8_t address,
                              uint8_t bus) {
    if (address & NOT_TIA) return console->ram[address & 0x7F];
    return tia_read(console, board, address, bus, cpu->cycle);
}

INLINE uint8_t read_memory(Cpu *cpu, Console *console, const Board *board, Operand at) {
    if (at.address & IN_CARTRIDGE) return board->program->rom[at.address & (ROM_SIZE - 1)];
    if (!(at.address & NOT_TIA)) return tia_read(console, board, at.address, at.bus, cpu->cycle);
    if (at.address & IN_RIOT) return riot_read(&console->riot, at.address, cpu->cycle);
    return console->ram[at.address & 0x7F];
}

INLINE void write_memory(Cpu *cpu, Console *console, const Board *board, Operand at,
                         uint8_t value) {
    if (at.address & IN_CARTRIDGE) return;
    if (!(at.address & NOT_TIA)) tia_write(console, board, at.address, value, cpu->cycle);
    else if (at.address & IN_RIOT) riot_write(&console->riot, at.address, value, cpu->cycle);
    else console->ram[at.address & 0x7F] = value;
}

/* --- addresses ----------------------------------------------------------------------------- */

INLINE uint16_t word(const Decoded *in) { return (uint16_t)(in->operand[0] | in->operand[1] << 8); }

INLINE Operand indexed(const Decoded *in, uint8_t index) {
    return (Operand){(uint16_t)(word(in) + index), in->operand[1]};
}

INLINE Operand at_zp(MACHINE) { return (Operand){in->operand[0], in->operand[0]}; }
INLINE Operand at_zpx(MACHINE) {
    return (Operand){(uint8_t)(in->operand[0] + cpu->x), in->operand[0]};
}
INLINE Operand at_zpy(MACHINE) {
    return (Operand){(uint8_t)(in->operand[0] + cpu->y), in->operand[0]};
}
INLINE Operand at_abs(MACHINE) { return (Operand){word(in), in->operand[1]}; }
INLINE Operand at_abx(MACHINE) { return indexed(in, cpu->x); }
INLINE Operand at_aby(MACHINE) { return indexed(in, cpu->y); }

INLINE Operand at_izx(MACHINE) {
    uint8_t pointer = (uint8_t)(in->operand[0] + cpu->x);
    uint8_t high = read_zero_page(cpu, console, board, (uint8_t)(pointer + 1), 0);
    uint8_t low = read_zero_page(cpu, console, board, pointer, 0);
    return (Operand){(uint16_t)(low | high << 8), high};
}

INLINE Operand after_pointer(Cpu *cpu, uint8_t low, uint8_t high) {
    return (Operand){(uint16_t)((low | high << 8) + cpu->y), high};
}

INLINE Operand at_izy(MACHINE) {
    uint8_t pointer = in->operand[0];
    uint8_t high = read_zero_page(cpu, console, board, (uint8_t)(pointer + 1), 0);
    return after_pointer(cpu, read_zero_page(cpu, console, board, pointer, 0), high);
}

INLINE Operand at_izy_ram(MACHINE) {
    const uint8_t *pointer = console->ram + (in->operand[0] & 0x7F);
    return after_pointer(cpu, pointer[0], pointer[1]);
}

/* Reads that cross a page take a cycle more. The bus holds the page before indexing. */
INLINE void count_crossing(Cpu *cpu, Operand at) {
    cpu->cycle += (at.bus ^ at.address >> 8) & 1;
}

/* --- reads --------------------------------------------------------------------------------- */

INLINE uint8_t fetch_imm(MACHINE) { return in->operand[0]; }
INLINE uint8_t fetch_zp_ram(MACHINE) { return console->ram[in->operand[0] & 0x7F]; }
INLINE uint8_t fetch_zp_tia(MACHINE) {
    return tia_read(console, board, in->operand[0], in->operand[0], cpu->cycle);
}
INLINE uint8_t fetch_abs_rom(MACHINE) { return in->value; }
INLINE uint8_t fetch_abs_ram(MACHINE) { return console->ram[in->operand[0] & 0x7F]; }
INLINE uint8_t fetch_abs_tia(MACHINE) {
    return tia_read(console, board, in->operand[0], in->operand[1], cpu->cycle);
}
INLINE uint8_t fetch_abs_riot(MACHINE) {
    return riot_read(&console->riot, in->operand[0], cpu->cycle);
}

#define FETCH_ZERO_PAGE(mode) \
    INLINE uint8_t fetch_##mode(MACHINE) { \
        Operand at = at_##mode(PASS); \
        return read_zero_page(cpu, console, board, (uint8_t)at.address, at.bus); \
    }
FETCH_ZERO_PAGE(zp)
FETCH_ZERO_PAGE(zpx)
FETCH_ZERO_PAGE(zpy)
#undef FETCH_ZERO_PAGE

#define FETCH_MEMORY(mode) \
    INLINE uint8_t fetch_##mode(MACHINE) { \
        return read_memory(cpu, console, board, at_##mode(PASS)); \
    }
FETCH_MEMORY(abs)
FETCH_MEMORY(abx)
FETCH_MEMORY(aby)
FETCH_MEMORY(izx)
FETCH_MEMORY(izy)
#undef FETCH_MEMORY

#define FETCH_CROSSING(variant, mode) \
    INLINE uint8_t fetch_##variant(MACHINE) { \
        Operand at = at_##mode(PASS); \
        count_crossing(cpu, at); \
        return read_memory(cpu, console, board, at); \
    }
FETCH_CROSSING(abx_crossing, abx)
FETCH_CROSSING(aby_crossing, aby)
FETCH_CROSSING(izy_ram, izy_ram)
FETCH_CROSSING(izy_crossing, izy)
#undef FETCH_CROSSING

#define FETCH_TABLE(variant, mode) \
    INLINE uint8_t fetch_##variant(MACHINE) { \
        Operand at = at_##mode(PASS); \
        count_crossing(cpu, at); \
        return board->program->rom[at.address & (ROM_SIZE - 1)]; \
    }
FETCH_TABLE(abx_rom, abx)
FETCH_TABLE(aby_rom, aby)
#undef FETCH_TABLE

/* --- writes -------------------------------------------------------------------------------- */

INLINE void store_zp_ram(MACHINE, uint8_t value) { console->ram[in->operand[0] & 0x7F] = value; }
INLINE void store_abs_ram(MACHINE, uint8_t value) { console->ram[in->operand[0] & 0x7F] = value; }
INLINE void store_zp_tia(MACHINE, uint8_t value) {
    tia_write(console, board, in->operand[0], value, cpu->cycle);
}
INLINE void store_abs_tia(MACHINE, uint8_t value) {
    tia_write(console, board, in->operand[0], value, cpu->cycle);
}
INLINE void store_abs_riot(MACHINE, uint8_t value) {
    riot_write(&console->riot, in->operand[0], value, cpu->cycle);
}

#define STORE_MEMORY(mode) \
    INLINE void store_##mode(MACHINE, uint8_t value) { \
        write_memory(cpu, console, board, at_##mode(PASS), value); \
    }
STORE_MEMORY(zp)
STORE_MEMORY(zpx)
STORE_MEMORY(zpy)
STORE_MEMORY(abs)
STORE_MEMORY(abx)
STORE_MEMORY(aby)
STORE_MEMORY(izx)
STORE_MEMORY(izy)
#undef STORE_MEMORY

/* A write that ANDs the value with the high byte of its address plus 1. */
INLINE void store_masked(Cpu *cpu, Console *console, const Board *board, Operand at,
                         uint8_t value) {
    write_memory(cpu, console, board, at, value & (uint8_t)((at.address >> 8) + 1));
}

/* --- the stack, wherever it is -------------------------------------------------------------- */

INLINE void push(Cpu *cpu, Console *console, const Board *board, uint8_t value) {
    write_memory(cpu, console, board, (Operand){cpu->sp--, 0}, value);
}

/* The CPU reads where the stack points before it moves on, and that is left on the bus. */
INLINE uint8_t pull(MACHINE) {
    uint8_t bus = cpu->sp & NOT_TIA ? console->ram[cpu->sp & 0x7F] : in->opcode;
    return read_zero_page(cpu, console, board, ++cpu->sp, bus);
}

INLINE void push_word(Cpu *cpu, Console *console, const Board *board, uint16_t value) {
    push(cpu, console, board, (uint8_t)(value >> 8));
    push(cpu, console, board, (uint8_t)value);
}

INLINE uint16_t pull_word(MACHINE) {
    uint8_t low = pull(PASS), high = read_zero_page(cpu, console, board, ++cpu->sp, low);
    return (uint16_t)(low | high << 8);
}

/* --- control: from the instruction's own address to the next one's --------------------------- */

INLINE uint16_t run_pha(MACHINE, uint16_t pc) {
    push(cpu, console, board, cpu->a);
    return pc + 1;
}

INLINE uint16_t run_pla(MACHINE, uint16_t pc) {
    set_nz(cpu, cpu->a = pull(PASS));
    return pc + 1;
}

INLINE uint16_t run_php(MACHINE, uint16_t pc) {
    push(cpu, console, board, pack_flags(cpu));
    return pc + 1;
}

INLINE uint16_t run_plp(MACHINE, uint16_t pc) {
    unpack_flags(cpu, pull(PASS));
    return pc + 1;
}

INLINE uint16_t run_jmp(MACHINE, uint16_t pc) { return word(in); }

INLINE uint16_t run_jmi(MACHINE, uint16_t pc) {
    uint16_t low_at = word(in), high_at = (low_at & 0xFF00) | ((low_at + 1) & 0xFF);
    uint8_t low = read_memory(cpu, console, board, (Operand){low_at, in->operand[1]});
    uint8_t high = read_memory(cpu, console, board, (Operand){high_at, in->operand[1]});
    return (uint16_t)(low | high << 8);
}

INLINE uint16_t run_jsr(MACHINE, uint16_t pc) {
    push_word(cpu, console, board, pc + 2);
    return word(in);
}

INLINE uint16_t run_rts(MACHINE, uint16_t pc) { return pull_word(PASS) + 1; }

INLINE uint16_t run_rti(MACHINE, uint16_t pc) {
    unpack_flags(cpu, pull(PASS));
    return pull_word(PASS);
}

INLINE uint16_t run_brk(MACHINE, uint16_t pc) {
    push_word(cpu, console, board, pc + 2);
    push(cpu, console, board, pack_flags(cpu));
    cpu->i = 1;
    const uint8_t *vector = board->program->rom + ROM_SIZE - 2;
    return (uint16_t)(vector[0] | vector[1] << 8);
}

/* The CPU never goes on, and no frame does anything any more. */
INLINE uint16_t run_jam(MACHINE, uint16_t pc) {
    console->jammed = console->frame_ended = 1;
    return pc;
}

INLINE void wait_for_line(Cpu *cpu, Console *console) {
    cpu->cycle += console->halt;
    console->halt = 0;
}

#endif
