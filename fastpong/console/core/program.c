/* Decoding a cartridge: a handler for every address, and one for frequent sequences. */
#include <string.h>

#include "addressing.h"
#include "translation.h"

/* Say whether an operand is where a variant of its mode expects it. */
static bool fits(int variant, const Decoded *in) {
    uint16_t address = word(in);
    bool cartridge = address & IN_CARTRIDGE, tia = !(address & NOT_TIA);
    switch (variant) {
    case variant_zp_ram: return in->operand[0] & NOT_TIA;
    case variant_zp_tia: return !(in->operand[0] & NOT_TIA);
    case variant_abs_rom: return cartridge;
    case variant_abs_ram: return !cartridge && !tia && !(address & IN_RIOT);
    case variant_abs_tia: return !cartridge && tia;
    case variant_abs_riot: return !cartridge && !tia && address & IN_RIOT;
    case variant_abx_rom: case variant_aby_rom: /* for every index */
        return cartridge && (uint16_t)(address + 255) & IN_CARTRIDGE;
    case variant_izy_ram: return in->operand[0] & NOT_TIA && in->operand[0] != 0xFF;
    default: return true;
    }
}

static const Handler *find_handler(const Handlers *all, const Decoded *in) {
    for (int32_t i = 0; i < all->handler_count; i++)
        if (all->handlers[i].opcode == in->opcode && fits(all->handlers[i].variant, in))
            return &all->handlers[i];
    return 0;
}

/* Decode the instruction at an index. Returns its length, or 0 if cpu_step must run it. */
static int decode(Program *program, const Handlers *all, int32_t index) {
    Decoded *in = &program->decoded[index];
    *in = (Decoded){.handler = all->outside, .opcode = program->rom[index]};
    if (index + 1 < ROM_SIZE) in->operand[0] = program->rom[index + 1];
    if (index + 2 < ROM_SIZE) in->operand[1] = program->rom[index + 2];
    const Handler *handler = find_handler(all, in);
    if (!handler || index + handler->length > ROM_SIZE) return 0;
    if (handler->variant == variant_branch) {
        int32_t next = index + 2, target = next + (int8_t)in->operand[0];
        if (target < 0 || target >= ROM_SIZE) return 0;
        in->target = (uint16_t)target;
        in->taken_cycles = 1 + ((next ^ target) >> 8 & 1);
    }
    in->value = program->rom[word(in) & (ROM_SIZE - 1)];
    in->variant = handler->variant;
    in->handler = handler->handler;
    return handler->length;
}

static bool waits_for_timer(const Decoded *in) {
    bool loads = in->opcode == 0xAD || in->opcode == 0xAE || in->opcode == 0xAC;
    bool timer = in->variant == variant_abs_riot && (in->operand[0] & 5) == 4;
    return loads && timer && in[3].opcode == 0xD0 && in[3].operand[0] == (uint8_t)-5;
}

static bool begins_with(const Program *program, const uint8_t *lengths, int32_t index,
                        const Fused *fused) {
    for (int part = 0; part < fused->count; part++) {
        if (index >= ROM_SIZE || !lengths[index]) return false;
        const Decoded *in = &program->decoded[index];
        if ((in->opcode | in->variant << 8) != fused->parts[part]) return false;
        index += lengths[index];
    }
    return true;
}

bool program_init(Program *program, const uint8_t *rom, int32_t size) {
    if (size != ROM_SIZE / 2 && size != ROM_SIZE) return false;
    for (int32_t i = 0; i < ROM_SIZE; i++) program->rom[i] = rom[i % size];
    Handlers all = cpu_handlers();
    uint8_t lengths[ROM_SIZE];
    for (int32_t i = 0; i < ROM_SIZE; i++) lengths[i] = (uint8_t)decode(program, &all, i);
    for (int32_t i = ROM_SIZE; i < ROM_SIZE + 3; i++)
        program->decoded[i] = (Decoded){.handler = all.outside};
    for (int32_t i = 0; i < ROM_SIZE; i++) {
        Decoded *in = &program->decoded[i];
        if (!lengths[i]) continue;
        if (i + 5 <= ROM_SIZE && lengths[i + 3] && waits_for_timer(in)) {
            in->handler = all.wait_timer;
            continue;
        }
        for (int32_t f = 0; f < all.fused_count; f++)
            if (begins_with(program, lengths, i, &all.fused[f])) {
                in->handler = all.fused[f].handler;
                break;
            }
    }
    for (int32_t i = 0; i < ROM_SIZE; i++) program->plain[i] = program->decoded[i].handler;
    translation_services(&program->services);
    return true;
}
