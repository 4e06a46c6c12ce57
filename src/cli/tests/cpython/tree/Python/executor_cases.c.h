// The toy machine's uops. They are compiled into stencils, and as they are into the interpreter of `jit.c`.

#ifdef TIER_ONE
    #error "tier two only"
#endif
#define TIER_TWO 2

        case _NOP: {
            break;
        }

        case _START_EXECUTOR: {
            current_executor->entered += 1;
            tstate->last = current_executor;
            break;
        }

        case _FATAL_ERROR: {
            assert(0);
            fatal("the fatal uop was executed");
            break;
        }

        case _JUMP_TO_TOP: {
#if PY_MINOR_VERSION >= 14
            JUMP_TO_JUMP_TARGET();
#endif
            break;
        }

        case _COUNT_DOWN: {
            frame->fuel -= 1;
            if (frame->fuel < 0) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _LOAD_CONST: {
            stack_pointer[0] = (Value)CURRENT_OPERAND0();
            stack_pointer += 1;
            break;
        }

        case _LOAD_SCALED: {
            oparg = CURRENT_OPARG();
            stack_pointer[0] = (Value)oparg * 24 - 7;
            stack_pointer += 1;
            break;
        }

        case _LOAD_PIECES: {
            uint64_t operand = CURRENT_OPERAND0();
            oparg = CURRENT_OPARG();
            uint64_t value = (uint8_t)operand ^ (uint64_t)(int64_t)(int16_t)(operand >> 8);
            value += (operand >> 40) << 3;
            value ^= (uint64_t)(oparg >> 1) << 32;
            stack_pointer[0] = (Value)value;
            stack_pointer += 1;
            break;
        }

        case _LOAD_NEGATED: {
            stack_pointer[0] = (Value)(0 - (uint64_t)(uint32_t)CURRENT_OPERAND0()) - (int32_t)(CURRENT_OPERAND0() >> 32);
            stack_pointer += 1;
            break;
        }

        case _LOAD_TARGET: {
            stack_pointer[0] = (Value)CURRENT_TARGET();
            stack_pointer += 1;
            break;
        }

        case _LOAD_FAST: {
            oparg = CURRENT_OPARG();
            stack_pointer[0] = frame->locals[oparg];
            stack_pointer += 1;
            break;
        }

        case _LOAD_FAST_3: {
            oparg = 3;
            assert(oparg == CURRENT_OPARG());
            stack_pointer[0] = frame->locals[oparg];
            stack_pointer += 1;
            break;
        }

        case _STORE_FAST: {
            oparg = CURRENT_OPARG();
            frame->locals[oparg] = stack_pointer[-1];
            stack_pointer += -1;
            break;
        }

        case _COPY: {
            oparg = CURRENT_OPARG();
            assert(oparg > 0);
            stack_pointer[0] = stack_pointer[-1 - (oparg - 1)];
            stack_pointer += 1;
            break;
        }

        case _SWAP: {
            oparg = CURRENT_OPARG();
            Value top = stack_pointer[-1];
            Value bottom = stack_pointer[-2 - (oparg - 2)];
            assert(oparg >= 2);
            stack_pointer[-2 - (oparg - 2)] = top;
            stack_pointer[-1] = bottom;
            break;
        }

        case _DROP: {
            oparg = CURRENT_OPARG();
            stack_pointer += -oparg;
            break;
        }

        case _ADD: {
            stack_pointer[-2] = add(stack_pointer[-2], stack_pointer[-1]);
            stack_pointer += -1;
            break;
        }

        case _MULTIPLY: {
            stack_pointer[-2] = multiply(stack_pointer[-2], stack_pointer[-1]);
            stack_pointer += -1;
            break;
        }

        case _DIVIDE: {
            Value right = stack_pointer[-1];
            Value left = stack_pointer[-2];
            if (right == 0 || right == -1) {
                raise_error(tstate, right == 0 ? "division by zero" : "division by minus one");
                JUMP_TO_ERROR();
            }
            stack_pointer[-2] = left / right;
            stack_pointer += -1;
            break;
        }

        case _ADD_OPERAND: {
            stack_pointer[-1] = add(stack_pointer[-1], (Value)CURRENT_OPERAND0());
            break;
        }

        case _MIX_OPERAND: {
            stack_pointer[-1] = mix(tstate, stack_pointer[-1], (Value)CURRENT_OPERAND0());
            break;
        }

        case _MIX_OPERANDS: {
            stack_pointer[-1] = mix(tstate, (Value)CURRENT_OPERAND1(), add(stack_pointer[-1], (Value)CURRENT_OPERAND0()));
            break;
        }

        case _LOAD_OPERAND1: {
            oparg = CURRENT_OPARG();
            uint32_t high = (uint32_t)(CURRENT_OPERAND1() >> 32);
            stack_pointer[0] = (Value)(CURRENT_OPERAND1() ^ (uint64_t)(oparg * 3));
            frame->record.words[6] = (Value)high + (int16_t)CURRENT_OPERAND1();
            stack_pointer += 1;
            break;
        }

        case _GUARD_OPERANDS: {
            if ((uint32_t)CURRENT_OPERAND0() < (uint32_t)CURRENT_OPERAND1()) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _STORE_OPERAND: {
            oparg = CURRENT_OPARG();
            frame->locals[oparg] = (Value)CURRENT_OPERAND0();
            break;
        }

        case _STORE_SMALL: {
            oparg = CURRENT_OPARG();
            memset(&frame->locals[oparg], 0, sizeof(Value));
            *(int32_t *)&frame->record.words[1] = (int32_t)CURRENT_OPERAND0();
            *(uint16_t *)&frame->record.words[2] = (uint16_t)CURRENT_OPERAND0();
            *(uint8_t *)&frame->record.words[3] = (uint8_t)(CURRENT_OPERAND0() >> 16);
            frame->record.words[4] = (int8_t)CURRENT_OPARG();
            break;
        }

        case _GUARD_VERSION: {
            uint32_t version = (uint32_t)CURRENT_OPERAND0();
            if (frame->version != version) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _GUARD_AT_MOST: {
            if ((int32_t)stack_pointer[-1] > (int32_t)CURRENT_OPERAND0()) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _GUARD_BELOW: {
            oparg = CURRENT_OPARG();
            if ((uint16_t)stack_pointer[-1] >= (uint16_t)oparg) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _GUARD_EQUAL: {
            if (stack_pointer[-1] == (Value)CURRENT_OPERAND0()) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _GUARD_NOT_ZERO: {
            Value value = stack_pointer[-1];
            stack_pointer += -1;
            if (value == 0) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _GUARD_EXECUTOR: {
            oparg = CURRENT_OPARG();
            if (current_executor->exits[oparg].uses > 5) {
                JUMP_TO_JUMP_TARGET();
            }
            break;
        }

        case _VECTOR: {
            static const Vector pattern = { 0x0123456789abcdefLL, -0x123456789abcdefLL };
            static const Vector step = { 77, -3 };
            Vector vector;
            memcpy(&vector, &stack_pointer[-2], sizeof(vector));
            vector = (vector ^ pattern) + step;
            memcpy(&stack_pointer[-2], &vector, sizeof(vector));
            break;
        }

        case _ALIGNED: {
            static const _Alignas(64) unsigned char bytes[] = "bytes that begin where a cache line does, over more than one";
            stack_pointer[-1] = add(stack_pointer[-1], mix_aligned(tstate, bytes, 64, sizeof(bytes)));
            break;
        }

        case _DOUBLE: {
            double value = (double)(stack_pointer[-1] % 100000);
            value = value * 1.5 + 0.2519;
            stack_pointer[-1] = (Value)(value < 0 ? -value * 8 : value * 16);
            break;
        }

        case _SINGLE: {
            float value = (float)(int16_t)stack_pointer[-1];
            stack_pointer[-1] = (Value)(value * 2.5f - 100.125f);
            break;
        }

        case _TEXT: {
            stack_pointer[-1] = mix_text(tstate, "a text in the data", stack_pointer[-1]);
            break;
        }

        case _CALL: {
            stack_pointer[-2] = mix(tstate, stack_pointer[-2], stack_pointer[-1]);
            stack_pointer += -1;
            break;
        }

        case _CALL_EIGHT: {
            Value a = stack_pointer[-4];
            Value b = stack_pointer[-3];
            Value c = stack_pointer[-2];
            Value d = stack_pointer[-1];
            stack_pointer[-1] = mix_eight(tstate, a, b, c, d, add(a, b), add(c, d), multiply(a, d));
            stack_pointer[-4] = add(d, a);
            break;
        }

        case _CALL_SEVEN: {
            Value a = stack_pointer[-1];
            Value b = stack_pointer[-2];
            stack_pointer[-1] = mix_seven(tstate, a, b, add(a, b), multiply(a, b), a ^ b, a | b);
            break;
        }

        case _CALL_NINE: {
            Value a = stack_pointer[-1];
            Value b = stack_pointer[-2];
            stack_pointer[-1] = mix_nine(tstate, a, b, add(a, b), multiply(a, b), a ^ b, a | b, a & b, -1);
            break;
        }

        case _CALL_EACH: {
            /* No one distance from an aligned stack suits all of these, nor one choice of registers. */
            Value a = stack_pointer[-1];
            Value b = stack_pointer[-2];
            Value c = mix_seven(tstate, a, b, 3, 4, 5, 6);
            touch(tstate);
            if (c & 1) {
                c = mix_eight(tstate, a, c, 3, 4, 5, 6, 7);
            }
            Value array[3] = { a, b, c };
            stack_pointer[-1] = add(mix_nine(tstate, c, b, 3, 4, 5, 6, 7, 8), mix_array(tstate, array, 3));
            stack_pointer[-2] = add(add(a, b), array[2]);
            break;
        }

        case _CALL_SEVEN_OR_NOT: {
            oparg = CURRENT_OPARG();
            for (int i = 0; i < oparg; i++) {
                if (stack_pointer[-1] & 4) {
                    stack_pointer[-1] = mix_seven(tstate, stack_pointer[-1], oparg, i, 4, 5, 6);
                }
                else {
                    stack_pointer[-1] = mix(tstate, stack_pointer[-1], i);
                }
            }
            break;
        }

        case _CALL_VARIADIC_FAR: {
            Value a = stack_pointer[-1];
            /* Registers have no place for the last number, nor for the last three integers. */
            Value numbers = mix_numbers(tstate, 9, 0.5, 1.5, 2.5, 3.5, 4.5, (double)(int16_t)a, 6.5, 7.5, 8.5);
            stack_pointer[-1] = add(numbers, mix_integers(tstate, 7, a, a + 1ull, 3ull, 4ull, 5ull, 6ull, a ^ 7));
            break;
        }

        case _CALL_BY_VALUE: {
            /* A structure lies on the stack. */
            Value a = stack_pointer[-1];
            Triple three = { a, stack_pointer[-2], 3 };
            stack_pointer[-1] = mix_triple(tstate, a, three);
            break;
        }

        case _CALL_VARIADIC: {
            Value value = stack_pointer[-1];
            stack_pointer[-1] = mix_numbers(tstate, 3, (double)(int32_t)value, 0.75, (double)(value & 255));
            break;
        }

        case _CALL_BY_NUMBER: {
            oparg = CURRENT_OPARG();
            stack_pointer[-2] = binaries[oparg](tstate, stack_pointer[-2], stack_pointer[-1]);
            stack_pointer += -1;
            break;
        }

        case _ARRAY: {
            Value array[7] = { stack_pointer[-1], stack_pointer[-2], 3, stack_pointer[-3], 5, frame->locals[0], 7 };
            Value sum = mix_array(tstate, array, 7);
            stack_pointer[-3] = add(multiply(sum, 31), add(multiply(array[0], array[3]), array[6]));
            stack_pointer += -2;
            break;
        }

        case _RECORD: {
            Record record = frame->record;
            record.words[5] = stack_pointer[-1];
            stack_pointer[-1] = mix_array(tstate, record.words, 24);
            frame->record = record;
            break;
        }

        case _PICK_NUMBER: {
            oparg = CURRENT_OPARG();
            int picked;
            switch (oparg) {
                case 0: picked = 12; break;
                case 1: picked = -5; break;
                case 2: picked = 77; break;
                case 3: picked = 4095; break;
                case 4: picked = 2; break;
                case 5: picked = 991; break;
                case 6: picked = -1000; break;
                case 7: picked = 31; break;
                case 8: picked = 64; break;
                default: picked = 1; break;
            }
            stack_pointer[0] = picked;
            stack_pointer += 1;
            break;
        }

        case _PICK_WORK: {
            oparg = CURRENT_OPARG();
            Value left = stack_pointer[-2];
            Value right = stack_pointer[-1];
            Value result;
            switch (oparg) {
                case 0: result = add(left, right); break;
                case 1: result = multiply(left, right); break;
                case 2: result = left & right; break;
                case 3: result = mix(tstate, left, right); break;
                case 4: result = left ^ right; break;
                case 5: result = mix_text(tstate, "five", right); break;
                case 6: result = left > right; break;
                case 7: touch(tstate); result = right; break;
                default: result = left | right; break;
            }
            stack_pointer[-2] = result;
            stack_pointer += -1;
            break;
        }

        case _CHOOSE: {
            const int64_t *object = (stack_pointer[-1] & 1) ? &odd_object : &even_object;
            stack_pointer[-1] = mix_object(tstate, object);
            break;
        }

        case _EITHER: {
            oparg = CURRENT_OPARG();
            if (stack_pointer[-1] & 2) {
                frame->locals[2] = add(frame->locals[2], oparg);
                touch(tstate);
            }
            else {
                stack_pointer[-1] = multiply(stack_pointer[-1], 5);
                frame->locals[3] = 7;
            }
            break;
        }

        case _LOOP: {
            oparg = CURRENT_OPARG();
            Value sum = stack_pointer[-1];
            for (int i = 0; i < oparg; i++) {
                sum = mix(tstate, sum, i);
                if ((sum & 15) == 0) {
                    touch(tstate);
                }
            }
            stack_pointer[-1] = sum;
            break;
        }

        case _SPILL: {
            Value a = stack_pointer[-1];
            Value b = stack_pointer[-2];
            Value c = stack_pointer[-3];
            Value d = stack_pointer[-4];
            Value e = stack_pointer[-5];
            touch(tstate);
            Value f = mix(tstate, a, b);
            Value g = mix(tstate, c, d);
            touch(tstate);
            stack_pointer[-5] = add(multiply(add(a, e), 3), add(multiply(b, f), add(multiply(c, g), d)));
            stack_pointer += -4;
            break;
        }

        case _LOAD_SMALL: {
            oparg = CURRENT_OPARG();
            stack_pointer[0] = (Value)&table.small[5 + oparg];
            stack_pointer += 1;
            break;
        }

        case _CALL_SMALL: {
            oparg = CURRENT_OPARG();
            stack_pointer[-1] = add(stack_pointer[-1], mix_small(tstate, &table.small[SMALL - 1 - oparg]));
            break;
        }

        case _COUNT_SMALL: {
            oparg = CURRENT_OPARG();
            stack_pointer[-1] = add(stack_pointer[-1], table.small[5 + oparg].value);
            table.small[5 + oparg].references += 1;
            break;
        }

        case _SMALL_OF_OPERAND: {
            oparg = CURRENT_OPARG();
            const Small *small = &table.small[(CURRENT_OPERAND0() & 255) + (uint64_t)(oparg & 3) * 4];
            stack_pointer[-1] = add(stack_pointer[-1], mix_small(tstate, small));
            break;
        }

        case _SMALL_DISTANCE: {
            oparg = CURRENT_OPARG();
            uintptr_t at = (uintptr_t)&table.small[oparg];
            stack_pointer[-1] = add((Value)(at & 0xfff), (Value)(at >> 12)) ^ stack_pointer[-1];
            break;
        }

        case _SMALL_EACH: {
            oparg = CURRENT_OPARG();
            Value sum = stack_pointer[-1];
            for (int i = 0; i <= oparg; i++) {
                table.small[oparg - i].references += i;
                sum = add(multiply(sum, 3), table.small[i].value);
            }
            stack_pointer[-1] = sum;
            break;
        }

        case _SMALL_OR_OBJECT: {
            oparg = CURRENT_OPARG();
            const int64_t *object = (stack_pointer[-1] & 1) ? &table.small[oparg].value : &odd_object;
            if (object == &table.small[2].value || (uintptr_t)object < (uintptr_t)&table) {
                touch(tstate);
            }
            stack_pointer[-1] = *object;
            break;
        }

        case _SUM_LOCALS: {
            oparg = CURRENT_OPARG();
            Value sum = 0;
            for (int i = 0; i < oparg; i++) {
                sum = add(sum, frame->locals[i]);
            }
            stack_pointer[0] = sum;
            stack_pointer += 1;
            break;
        }

        case _EXECUTOR_WORD: {
            stack_pointer[0] = current_executor->entered;
            stack_pointer += 1;
            break;
        }

        case _ERROR_POP_N: {
            oparg = CURRENT_OPARG();
            stack_pointer += -oparg;
            frame->resume = frame->code + CURRENT_OPERAND0();
            EXIT_WITH_ERROR();
            break;
        }

        case _DEOPT: {
            EXIT_TO_TIER1();
            break;
        }

        case _EXIT_DYNAMIC: {
            frame->resume = frame->code + (frame->locals[1] & 63);
            EXIT_TO_TIER1_DYNAMIC();
            break;
        }

        case _EXIT_TRACE: {
            EXIT_TO_TRACE();
            break;
        }

#undef TIER_TWO
