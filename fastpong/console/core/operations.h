/* What each instruction does to the registers.
 *
 * Sources: MOS MCS6500 Programming Manual (1976). "NMOS 6510 Unintended Opcodes" for the
 * undocumented ones. Where ALE differs, a black box showed it: docs/design/console.md.
 */
#ifndef FASTPONG_OPERATIONS_H
#define FASTPONG_OPERATIONS_H

#include "console.h"

#ifdef _MSC_VER
#define INLINE static __forceinline
#else
#define INLINE static inline __attribute__((always_inline))
#endif

INLINE void set_nz(Cpu *cpu, uint8_t value) { cpu->n = cpu->z = value; }

INLINE uint8_t pack_flags(const Cpu *cpu) {
    return (cpu->n & 0x80) | cpu->v << 6 | 0x30 | cpu->d << 3 | cpu->i << 2 | (cpu->z == 0) << 1 |
           cpu->c;
}

INLINE void unpack_flags(Cpu *cpu, uint8_t flags) {
    cpu->n = flags;
    cpu->v = flags >> 6 & 1;
    cpu->d = flags >> 3 & 1;
    cpu->i = flags >> 2 & 1;
    cpu->z = !(flags & 2);
    cpu->c = flags & 1;
}

/* --- read ---------------------------------------------------------------------------------- */

INLINE void lda(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a = m); }
INLINE void ldx(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->x = m); }
INLINE void ldy(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->y = m); }
INLINE void and(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a &= m); }
INLINE void ora(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a |= m); }
INLINE void eor(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a ^= m); }
INLINE void nop(Cpu *cpu, uint8_t m) { (void)cpu, (void)m; }
INLINE void lax(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a = cpu->x = m); }

INLINE void compare(Cpu *cpu, uint8_t reg, uint8_t m) {
    cpu->c = reg >= m;
    set_nz(cpu, (uint8_t)(reg - m));
}

INLINE void cmp(Cpu *cpu, uint8_t m) { compare(cpu, cpu->a, m); }
INLINE void cpx(Cpu *cpu, uint8_t m) { compare(cpu, cpu->x, m); }
INLINE void cpy(Cpu *cpu, uint8_t m) { compare(cpu, cpu->y, m); }

INLINE void bit(Cpu *cpu, uint8_t m) {
    cpu->n = m;
    cpu->v = m >> 6 & 1;
    cpu->z = cpu->a & m;
}

/* Decimal mode as ALE has it: a table of two digits, N and Z of the result, and an odd V. */
static inline int decimal_value(uint8_t digits) { return 10 * (digits >> 4) + (digits & 15); }

static inline uint8_t decimal_digits(int value) {
    return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static inline void set_decimal(Cpu *cpu, uint8_t m, uint8_t result) {
    cpu->v = ((cpu->a ^ result) & (result ^ m)) >> 7 & 1;
    set_nz(cpu, cpu->a = result);
}

static inline void add_decimal(Cpu *cpu, uint8_t m) {
    int sum = decimal_value(cpu->a) + decimal_value(m) + cpu->c;
    cpu->c = sum > 99;
    set_decimal(cpu, m, decimal_digits(sum & 0xFF));
}

static inline void subtract_decimal(Cpu *cpu, uint8_t m) {
    int difference = decimal_value(cpu->a) - decimal_value(m) - !cpu->c;
    if (difference < 0) difference += 100;
    cpu->c = cpu->a >= m + !cpu->c;
    /* Digits above 9 may leave less than 0: another table is found there. */
    set_decimal(cpu, m, difference < 0 ? (uint8_t)decimal_value((uint8_t)(256 + difference))
                                       : decimal_digits(difference));
}

INLINE void adc(Cpu *cpu, uint8_t m) {
    if (cpu->d) {
        add_decimal(cpu, m);
        return;
    }
    int sum = cpu->a + m + cpu->c;
    cpu->v = (~(cpu->a ^ m) & (cpu->a ^ sum)) >> 7 & 1;
    cpu->c = sum >> 8 & 1;
    set_nz(cpu, cpu->a = (uint8_t)sum);
}

INLINE void sbc(Cpu *cpu, uint8_t m) {
    if (cpu->d) {
        subtract_decimal(cpu, m);
        return;
    }
    int difference = cpu->a - m - !cpu->c;
    cpu->v = ((cpu->a ^ m) & (cpu->a ^ difference)) >> 7 & 1;
    cpu->c = difference >= 0;
    set_nz(cpu, cpu->a = (uint8_t)difference);
}

INLINE void anc(Cpu *cpu, uint8_t m) {
    and(cpu, m);
    cpu->c = cpu->a >> 7;
}

INLINE void alr(Cpu *cpu, uint8_t m) {
    cpu->a &= m;
    cpu->c = cpu->a & 1;
    set_nz(cpu, cpu->a >>= 1);
}

/* As hardware does it: half of a decimal correction. */
static inline void rotate_decimal(Cpu *cpu, uint8_t both) {
    uint8_t rotated = (uint8_t)(both >> 1 | cpu->c << 7);
    set_nz(cpu, cpu->a = rotated);
    cpu->v = (both ^ rotated) >> 6 & 1;
    if ((both & 15) + (both & 1) > 5) cpu->a = (rotated & 0xF0) | ((rotated + 6) & 15);
    cpu->c = (both >> 4) + (both >> 4 & 1) > 5;
    if (cpu->c) cpu->a = (uint8_t)(cpu->a + 0x60);
}

INLINE void arr(Cpu *cpu, uint8_t m) {
    cpu->a &= m;
    if (cpu->d) {
        rotate_decimal(cpu, cpu->a);
        return;
    }
    set_nz(cpu, cpu->a = (uint8_t)(cpu->a >> 1 | cpu->c << 7));
    cpu->c = cpu->a >> 6 & 1;
    cpu->v = (cpu->a >> 6 ^ cpu->a >> 5) & 1;
}

INLINE void axs(Cpu *cpu, uint8_t m) {
    uint8_t both = cpu->a & cpu->x;
    compare(cpu, both, m);
    cpu->x = (uint8_t)(both - m);
}

INLINE void ane(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a = (cpu->a | 0xEE) & cpu->x & m); }
INLINE void lxa(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a = cpu->x = (cpu->a | 0xEE) & m); }
INLINE void las(Cpu *cpu, uint8_t m) { set_nz(cpu, cpu->a = cpu->x = cpu->sp &= m); }

/* --- write --------------------------------------------------------------------------------- */

INLINE uint8_t sta(Cpu *cpu) { return cpu->a; }
INLINE uint8_t stx(Cpu *cpu) { return cpu->x; }
INLINE uint8_t sty(Cpu *cpu) { return cpu->y; }
INLINE uint8_t sax(Cpu *cpu) { return cpu->a & cpu->x; }

/* The unstable ones let through what the address's high byte plus 1 lets through. */
INLINE uint8_t sha(Cpu *cpu) { return cpu->a & cpu->x; }
INLINE uint8_t shx(Cpu *cpu) { return cpu->x; }
INLINE uint8_t shy(Cpu *cpu) { return cpu->y; }
INLINE uint8_t tas(Cpu *cpu) { return cpu->sp = cpu->a & cpu->x; }

/* --- modify -------------------------------------------------------------------------------- */

INLINE uint8_t asl(Cpu *cpu, uint8_t m) {
    cpu->c = m >> 7;
    set_nz(cpu, m = (uint8_t)(m << 1));
    return m;
}

INLINE uint8_t lsr(Cpu *cpu, uint8_t m) {
    cpu->c = m & 1;
    set_nz(cpu, m >>= 1);
    return m;
}

INLINE uint8_t rol(Cpu *cpu, uint8_t m) {
    uint8_t out = m >> 7;
    set_nz(cpu, m = (uint8_t)(m << 1 | cpu->c));
    cpu->c = out;
    return m;
}

INLINE uint8_t ror(Cpu *cpu, uint8_t m) {
    uint8_t out = m & 1;
    set_nz(cpu, m = (uint8_t)(m >> 1 | cpu->c << 7));
    cpu->c = out;
    return m;
}

INLINE uint8_t inc(Cpu *cpu, uint8_t m) {
    set_nz(cpu, ++m);
    return m;
}

INLINE uint8_t dec(Cpu *cpu, uint8_t m) {
    set_nz(cpu, --m);
    return m;
}

/* The undocumented ones do two things at once. */
#define COMBINED(name, first, second) \
    INLINE uint8_t name(Cpu *cpu, uint8_t m) { \
        m = first(cpu, m); \
        second(cpu, m); \
        return m; \
    }
COMBINED(slo, asl, ora)
COMBINED(rla, rol, and)
COMBINED(sre, lsr, eor)
COMBINED(rra, ror, adc)
COMBINED(dcp, dec, cmp)
COMBINED(isc, inc, sbc)
#undef COMBINED

/* --- registers only ------------------------------------------------------------------------ */

INLINE void asl_a(Cpu *cpu) { cpu->a = asl(cpu, cpu->a); }
INLINE void lsr_a(Cpu *cpu) { cpu->a = lsr(cpu, cpu->a); }
INLINE void rol_a(Cpu *cpu) { cpu->a = rol(cpu, cpu->a); }
INLINE void ror_a(Cpu *cpu) { cpu->a = ror(cpu, cpu->a); }
INLINE void tax(Cpu *cpu) { set_nz(cpu, cpu->x = cpu->a); }
INLINE void tay(Cpu *cpu) { set_nz(cpu, cpu->y = cpu->a); }
INLINE void txa(Cpu *cpu) { set_nz(cpu, cpu->a = cpu->x); }
INLINE void tya(Cpu *cpu) { set_nz(cpu, cpu->a = cpu->y); }
INLINE void tsx(Cpu *cpu) { set_nz(cpu, cpu->x = cpu->sp); }
INLINE void txs(Cpu *cpu) { cpu->sp = cpu->x; }
INLINE void inx(Cpu *cpu) { set_nz(cpu, ++cpu->x); }
INLINE void iny(Cpu *cpu) { set_nz(cpu, ++cpu->y); }
INLINE void dex(Cpu *cpu) { set_nz(cpu, --cpu->x); }
INLINE void dey(Cpu *cpu) { set_nz(cpu, --cpu->y); }
INLINE void clc(Cpu *cpu) { cpu->c = 0; }
INLINE void sec(Cpu *cpu) { cpu->c = 1; }
INLINE void cli(Cpu *cpu) { cpu->i = 0; }
INLINE void sei(Cpu *cpu) { cpu->i = 1; }
INLINE void clv(Cpu *cpu) { cpu->v = 0; }
INLINE void cld(Cpu *cpu) { cpu->d = 0; }
INLINE void sed(Cpu *cpu) { cpu->d = 1; }
INLINE void nop0(Cpu *cpu) { (void)cpu; }

INLINE bool bpl(const Cpu *cpu) { return !(cpu->n & 0x80); }
INLINE bool bmi(const Cpu *cpu) { return cpu->n & 0x80; }
INLINE bool bvc(const Cpu *cpu) { return !cpu->v; }
INLINE bool bvs(const Cpu *cpu) { return cpu->v; }
INLINE bool bcc(const Cpu *cpu) { return !cpu->c; }
INLINE bool bcs(const Cpu *cpu) { return cpu->c; }
INLINE bool bne(const Cpu *cpu) { return cpu->z; }
INLINE bool beq(const Cpu *cpu) { return !cpu->z; }

#endif
