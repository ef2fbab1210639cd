/* The 6507's instructions, one row each: opcode, name, addressing mode.
 *
 * Sources: MOS MCS6500 Programming Manual (1976) for the documented ones with their cycles. "NMOS
 * 6510 Unintended Opcodes" (2021) for the others.
 *
 * Include this file with these macros defined. Each row becomes one handler for every place that its
 * operand may be in, the special ones first. `where` names the handler and `variant` what it reads
 * or writes (see addressing.h).
 *
 *     READ_HANDLER(code, name, where, variant, length, cycles)      a value into the registers
 *     WRITE_HANDLER(code, name, where, variant, length, cycles)     a register into memory
 *     MODIFY_HANDLER(code, name, where, variant, length, cycles)    memory changed in place
 *     UNSTABLE_HANDLER(code, name, mode, length, cycles)            a masked register into memory
 *     IMPLIED_HANDLER(code, name)                                   registers only, 2 cycles
 *     BRANCH_HANDLER(code, name)                                    2 cycles, taken 3 or 4
 *     CONTROL_HANDLER(code, name, length, cycles)                   stack and jumps
 */

#define READ(code, name, mode) READ_##mode(code, name)
#define WRITE(code, name, mode) WRITE_##mode(code, name)
#define MODIFY(code, name, mode) MODIFY_##mode(code, name)

#define READ_imm(code, name) READ_HANDLER(code, name, any, imm, 2, 2)
#define READ_zp(code, name) \
    READ_HANDLER(code, name, ram, zp_ram, 2, 3) \
    READ_HANDLER(code, name, tia, zp_tia, 2, 3) \
    READ_HANDLER(code, name, any, zp, 2, 3)
#define READ_zpx(code, name) READ_HANDLER(code, name, any, zpx, 2, 4)
#define READ_zpy(code, name) READ_HANDLER(code, name, any, zpy, 2, 4)
#define READ_abs(code, name) \
    READ_HANDLER(code, name, rom, abs_rom, 3, 4) \
    READ_HANDLER(code, name, ram, abs_ram, 3, 4) \
    READ_HANDLER(code, name, tia, abs_tia, 3, 4) \
    READ_HANDLER(code, name, riot, abs_riot, 3, 4) \
    READ_HANDLER(code, name, any, abs, 3, 4)
#define READ_abx(code, name) \
    READ_HANDLER(code, name, rom, abx_rom, 3, 4) READ_HANDLER(code, name, any, abx_crossing, 3, 4)
#define READ_aby(code, name) \
    READ_HANDLER(code, name, rom, aby_rom, 3, 4) READ_HANDLER(code, name, any, aby_crossing, 3, 4)
#define READ_izx(code, name) READ_HANDLER(code, name, any, izx, 2, 6)
#define READ_izy(code, name) \
    READ_HANDLER(code, name, ram, izy_ram, 2, 5) READ_HANDLER(code, name, any, izy_crossing, 2, 5)

#define WRITE_zp(code, name) \
    WRITE_HANDLER(code, name, ram, zp_ram, 2, 3) \
    WRITE_HANDLER(code, name, tia, zp_tia, 2, 3) \
    WRITE_HANDLER(code, name, any, zp, 2, 3)
#define WRITE_zpx(code, name) WRITE_HANDLER(code, name, any, zpx, 2, 4)
#define WRITE_zpy(code, name) WRITE_HANDLER(code, name, any, zpy, 2, 4)
#define WRITE_abs(code, name) \
    WRITE_HANDLER(code, name, ram, abs_ram, 3, 4) \
    WRITE_HANDLER(code, name, tia, abs_tia, 3, 4) \
    WRITE_HANDLER(code, name, riot, abs_riot, 3, 4) \
    WRITE_HANDLER(code, name, any, abs, 3, 4)
#define WRITE_abx(code, name) WRITE_HANDLER(code, name, any, abx, 3, 5)
#define WRITE_aby(code, name) WRITE_HANDLER(code, name, any, aby, 3, 5)
#define WRITE_izx(code, name) WRITE_HANDLER(code, name, any, izx, 2, 6)
#define WRITE_izy(code, name) WRITE_HANDLER(code, name, any, izy, 2, 6)

#define MODIFY_zp(code, name) \
    MODIFY_HANDLER(code, name, ram, zp_ram, 2, 5) \
    MODIFY_HANDLER(code, name, any, zp, 2, 5)
#define MODIFY_zpx(code, name) MODIFY_HANDLER(code, name, any, zpx, 2, 6)
#define MODIFY_abs(code, name) \
    MODIFY_HANDLER(code, name, ram, abs_ram, 3, 6) \
    MODIFY_HANDLER(code, name, any, abs, 3, 6)
#define MODIFY_abx(code, name) MODIFY_HANDLER(code, name, any, abx, 3, 7)
#define MODIFY_aby(code, name) MODIFY_HANDLER(code, name, any, aby, 3, 7)
#define MODIFY_izx(code, name) MODIFY_HANDLER(code, name, any, izx, 2, 8)
#define MODIFY_izy(code, name) MODIFY_HANDLER(code, name, any, izy, 2, 8)

/* --- documented ---------------------------------------------------------------------------- */

READ(A9, lda, imm) READ(A5, lda, zp) READ(B5, lda, zpx) READ(AD, lda, abs)
READ(BD, lda, abx) READ(B9, lda, aby) READ(A1, lda, izx) READ(B1, lda, izy)
READ(A2, ldx, imm) READ(A6, ldx, zp) READ(B6, ldx, zpy) READ(AE, ldx, abs) READ(BE, ldx, aby)
READ(A0, ldy, imm) READ(A4, ldy, zp) READ(B4, ldy, zpx) READ(AC, ldy, abs) READ(BC, ldy, abx)

WRITE(85, sta, zp) WRITE(95, sta, zpx) WRITE(8D, sta, abs) WRITE(9D, sta, abx)
WRITE(99, sta, aby) WRITE(81, sta, izx) WRITE(91, sta, izy)
WRITE(86, stx, zp) WRITE(96, stx, zpy) WRITE(8E, stx, abs)
WRITE(84, sty, zp) WRITE(94, sty, zpx) WRITE(8C, sty, abs)

READ(69, adc, imm) READ(65, adc, zp) READ(75, adc, zpx) READ(6D, adc, abs)
READ(7D, adc, abx) READ(79, adc, aby) READ(61, adc, izx) READ(71, adc, izy)
READ(E9, sbc, imm) READ(E5, sbc, zp) READ(F5, sbc, zpx) READ(ED, sbc, abs)
READ(FD, sbc, abx) READ(F9, sbc, aby) READ(E1, sbc, izx) READ(F1, sbc, izy)
READ(29, and, imm) READ(25, and, zp) READ(35, and, zpx) READ(2D, and, abs)
READ(3D, and, abx) READ(39, and, aby) READ(21, and, izx) READ(31, and, izy)
READ(09, ora, imm) READ(05, ora, zp) READ(15, ora, zpx) READ(0D, ora, abs)
READ(1D, ora, abx) READ(19, ora, aby) READ(01, ora, izx) READ(11, ora, izy)
READ(49, eor, imm) READ(45, eor, zp) READ(55, eor, zpx) READ(4D, eor, abs)
READ(5D, eor, abx) READ(59, eor, aby) READ(41, eor, izx) READ(51, eor, izy)
READ(C9, cmp, imm) READ(C5, cmp, zp) READ(D5, cmp, zpx) READ(CD, cmp, abs)
READ(DD, cmp, abx) READ(D9, cmp, aby) READ(C1, cmp, izx) READ(D1, cmp, izy)
READ(E0, cpx, imm) READ(E4, cpx, zp) READ(EC, cpx, abs)
READ(C0, cpy, imm) READ(C4, cpy, zp) READ(CC, cpy, abs)
READ(24, bit, zp) READ(2C, bit, abs)

MODIFY(06, asl, zp) MODIFY(16, asl, zpx) MODIFY(0E, asl, abs) MODIFY(1E, asl, abx)
MODIFY(46, lsr, zp) MODIFY(56, lsr, zpx) MODIFY(4E, lsr, abs) MODIFY(5E, lsr, abx)
MODIFY(26, rol, zp) MODIFY(36, rol, zpx) MODIFY(2E, rol, abs) MODIFY(3E, rol, abx)
MODIFY(66, ror, zp) MODIFY(76, ror, zpx) MODIFY(6E, ror, abs) MODIFY(7E, ror, abx)
MODIFY(E6, inc, zp) MODIFY(F6, inc, zpx) MODIFY(EE, inc, abs) MODIFY(FE, inc, abx)
MODIFY(C6, dec, zp) MODIFY(D6, dec, zpx) MODIFY(CE, dec, abs) MODIFY(DE, dec, abx)

IMPLIED_HANDLER(0A, asl_a) IMPLIED_HANDLER(4A, lsr_a) IMPLIED_HANDLER(2A, rol_a)
IMPLIED_HANDLER(6A, ror_a) IMPLIED_HANDLER(AA, tax) IMPLIED_HANDLER(A8, tay)
IMPLIED_HANDLER(8A, txa) IMPLIED_HANDLER(98, tya) IMPLIED_HANDLER(BA, tsx)
IMPLIED_HANDLER(9A, txs) IMPLIED_HANDLER(E8, inx) IMPLIED_HANDLER(C8, iny)
IMPLIED_HANDLER(CA, dex) IMPLIED_HANDLER(88, dey) IMPLIED_HANDLER(18, clc)
IMPLIED_HANDLER(38, sec) IMPLIED_HANDLER(58, cli) IMPLIED_HANDLER(78, sei)
IMPLIED_HANDLER(B8, clv) IMPLIED_HANDLER(D8, cld) IMPLIED_HANDLER(F8, sed)
IMPLIED_HANDLER(EA, nop0)

BRANCH_HANDLER(10, bpl) BRANCH_HANDLER(30, bmi) BRANCH_HANDLER(50, bvc) BRANCH_HANDLER(70, bvs)
BRANCH_HANDLER(90, bcc) BRANCH_HANDLER(B0, bcs) BRANCH_HANDLER(D0, bne) BRANCH_HANDLER(F0, beq)

CONTROL_HANDLER(48, pha, 1, 3) CONTROL_HANDLER(68, pla, 1, 4)
CONTROL_HANDLER(08, php, 1, 3) CONTROL_HANDLER(28, plp, 1, 4)
CONTROL_HANDLER(4C, jmp, 3, 3) CONTROL_HANDLER(6C, jmi, 3, 5)
CONTROL_HANDLER(20, jsr, 3, 6) CONTROL_HANDLER(60, rts, 1, 6)
CONTROL_HANDLER(40, rti, 1, 6) CONTROL_HANDLER(00, brk, 1, 7)

/* --- undocumented, stable ------------------------------------------------------------------ */

IMPLIED_HANDLER(1A, nop0) IMPLIED_HANDLER(3A, nop0) IMPLIED_HANDLER(5A, nop0)
IMPLIED_HANDLER(7A, nop0) IMPLIED_HANDLER(DA, nop0) IMPLIED_HANDLER(FA, nop0)
READ(80, nop, imm) READ(82, nop, imm) READ(89, nop, imm) READ(C2, nop, imm) READ(E2, nop, imm)
READ(04, nop, zp) READ(44, nop, zp) READ(64, nop, zp)
READ(14, nop, zpx) READ(34, nop, zpx) READ(54, nop, zpx)
READ(74, nop, zpx) READ(D4, nop, zpx) READ(F4, nop, zpx)
READ(0C, nop, abs) READ(1C, nop, abx) READ(3C, nop, abx) READ(5C, nop, abx)
READ(7C, nop, abx) READ(DC, nop, abx) READ(FC, nop, abx)

READ_HANDLER(A7, lax, any, zp, 2, 4) /* 3 cycles in hardware, 4 in ALE */
READ(B7, lax, zpy) READ(AF, lax, abs)
READ(BF, lax, aby) READ(A3, lax, izx) READ(B3, lax, izy)
WRITE(87, sax, zp) WRITE(97, sax, zpy) WRITE(8F, sax, abs) WRITE(83, sax, izx)

MODIFY(07, slo, zp) MODIFY(17, slo, zpx) MODIFY(0F, slo, abs) MODIFY(1F, slo, abx)
MODIFY(1B, slo, aby) MODIFY(03, slo, izx) MODIFY(13, slo, izy)
MODIFY(27, rla, zp) MODIFY(37, rla, zpx) MODIFY(2F, rla, abs) MODIFY(3F, rla, abx)
MODIFY(3B, rla, aby) MODIFY(23, rla, izx) MODIFY(33, rla, izy)
MODIFY(47, sre, zp) MODIFY(57, sre, zpx) MODIFY(4F, sre, abs) MODIFY(5F, sre, abx)
MODIFY(5B, sre, aby) MODIFY(43, sre, izx) MODIFY(53, sre, izy)
MODIFY(67, rra, zp) MODIFY(77, rra, zpx) MODIFY(6F, rra, abs) MODIFY(7F, rra, abx)
MODIFY(7B, rra, aby) MODIFY(63, rra, izx) MODIFY(73, rra, izy)
MODIFY(C7, dcp, zp) MODIFY(D7, dcp, zpx) MODIFY(CF, dcp, abs) MODIFY(DF, dcp, abx)
MODIFY(DB, dcp, aby) MODIFY(C3, dcp, izx) MODIFY(D3, dcp, izy)
MODIFY(E7, isc, zp) MODIFY(F7, isc, zpx) MODIFY(EF, isc, abs) MODIFY(FF, isc, abx)
MODIFY(FB, isc, aby) MODIFY(E3, isc, izx) MODIFY(F3, isc, izy)

READ(0B, anc, imm) READ(2B, anc, imm) READ(4B, alr, imm) READ(6B, arr, imm)
READ(CB, axs, imm) READ(EB, sbc, imm)

/* --- undocumented, unstable: see docs/design/console.md for what is assumed ----------------- */

READ(8B, ane, imm) READ(AB, lxa, imm) READ(BB, las, aby)
UNSTABLE_HANDLER(9F, sha, aby, 3, 5) UNSTABLE_HANDLER(93, sha, izy, 2, 6)
UNSTABLE_HANDLER(9E, shx, aby, 3, 5) UNSTABLE_HANDLER(9C, shy, abx, 3, 5)
UNSTABLE_HANDLER(9B, tas, aby, 3, 5)

/* --- those that stop the CPU --------------------------------------------------------------- */

CONTROL_HANDLER(02, jam, 1, 0) CONTROL_HANDLER(12, jam, 1, 0) CONTROL_HANDLER(22, jam, 1, 0)
CONTROL_HANDLER(32, jam, 1, 0) CONTROL_HANDLER(42, jam, 1, 0) CONTROL_HANDLER(52, jam, 1, 0)
CONTROL_HANDLER(62, jam, 1, 0) CONTROL_HANDLER(72, jam, 1, 0) CONTROL_HANDLER(92, jam, 1, 0)
CONTROL_HANDLER(B2, jam, 1, 0) CONTROL_HANDLER(D2, jam, 1, 0) CONTROL_HANDLER(F2, jam, 1, 0)

#undef READ_HANDLER
#undef WRITE_HANDLER
#undef MODIFY_HANDLER
#undef UNSTABLE_HANDLER
#undef IMPLIED_HANDLER
#undef BRANCH_HANDLER
#undef CONTROL_HANDLER
