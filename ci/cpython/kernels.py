"""Five kernels for comparing the machine code of CPython's JIT.

Usage: python kernels.py all
Runs each kernel until the JIT has compiled it, and prints what it computes.

Usage: python kernels.py KERNEL
Warms up, then runs the kernel once for each line that it reads, and answers with the processor seconds it took. At the end
of the input it answers with a line of JSON: the result, and how many executors with machine code the kernel's functions have.
"""

import json
import sys
import time

from jit import executors

WARM_UP = 10  # runs, after which the JIT compiles nothing more that matters


# N bodies that attract one another; positions and speeds are made up.


def start_bodies():
    bodies = []
    for i in range(5):
        distance = i * (1.0 + 0.37 * i)
        speed = (40.0 / distance) ** 0.5 if i else 0.0
        sign = 1.0 if i % 2 else -1.0
        bodies.append([sign * distance, 0.1 * i, 0.05 * distance, 0.01 * i, sign * speed, 0.02 * i, 40.0 / (1 + i**4)])
    return bodies


def advance(bodies, pairs, steps, dt):
    for _ in range(steps):
        for a, b in pairs:
            x = a[0] - b[0]
            y = a[1] - b[1]
            z = a[2] - b[2]
            square = x * x + y * y + z * z
            pull = dt / (square * square**0.5 + 0.01)
            mass_a = a[6] * pull
            mass_b = b[6] * pull
            a[3] -= x * mass_b
            a[4] -= y * mass_b
            a[5] -= z * mass_b
            b[3] += x * mass_a
            b[4] += y * mass_a
            b[5] += z * mass_a
        for body in bodies:
            body[0] += dt * body[3]
            body[1] += dt * body[4]
            body[2] += dt * body[5]


def nbody():
    bodies = start_bodies()
    pairs = [(a, b) for i, a in enumerate(bodies) for b in bodies[i + 1 :]]
    advance(bodies, pairs, 3_000, 0.001)
    return [coordinate.hex() for body in bodies for coordinate in body[:3]]


# Pancakes: over all orders of n numbers, how often the first k must be turned round, k being the first number, until the
# first is 1; the most turns, and a sum of turns with alternating sign.


def turns_of(order):
    count = 0
    first = order[0]
    while first != 1:
        low = 0
        high = first - 1
        while low < high:
            order[low], order[high] = order[high], order[low]
            low += 1
            high -= 1
        count += 1
        first = order[0]
    return count


def fannkuch():
    size = 8
    order = list(range(1, size + 1))
    wait = [0] * size
    most = turns_of(order[:])
    total = most
    sign = 1
    # Heap's algorithm: each order differs from the one before in one exchange.
    i = 1
    while i < size:
        if wait[i] < i:
            j = wait[i] if i & 1 else 0
            order[i], order[j] = order[j], order[i]
            wait[i] += 1
            i = 1
            sign = -sign
            turns = turns_of(order[:])
            if turns > most:
                most = turns
            total += sign * turns
        else:
            wait[i] = 0
            i += 1
    return [most, total]


# The spectral norm of the infinite matrix 1, 1/2, 1/4 ...; 1/3, 1/5 ...; 1/6 ... cut to size, by repeated multiplication.


def element(row, column):
    diagonal = row + column
    return 1.0 / (diagonal * (diagonal + 1) // 2 + row + 1)


def multiply(vector):
    result = []
    for row in range(len(vector)):
        total = 0.0
        for column, value in enumerate(vector):
            total += element(row, column) * value
        result.append(total)
    return result


def multiply_transposed(vector):
    result = []
    for column in range(len(vector)):
        total = 0.0
        for row, value in enumerate(vector):
            total += element(row, column) * value
        result.append(total)
    return result


def spectral_norm():
    u = [1.0] * 70
    for _ in range(6):
        v = multiply_transposed(multiply(u))
        u = multiply_transposed(multiply(v))
    uv = sum(a * b for a, b in zip(u, v))
    vv = sum(a * a for a in v)
    return ((uv / vv) ** 0.5).hex()


# Integers that stay within one of CPython's digits of 30 bits.


def int_loop():
    state = 12345
    even = 0
    total = 0
    i = 0
    while i < 120_000:
        state = (state * 75 + 74) % 65_537
        if state & 1 == 0:
            even += 1
        total = (total ^ state) + (i & 15)
        i += 1
    return [state, even, total]


def float_loop():
    x = 0.3
    y = 0.0
    total = 0.0
    i = 0
    while i < 240_000:
        x = 3.7 * x * (1.0 - x)
        y = y * 0.5 + x
        if y > 1.25:
            total += y - 1.25
        else:
            total -= x
        i += 1
    return [x.hex(), total.hex()]


# The functions after a kernel's own are those with its hot loops.
KERNELS = {
    "nbody": (nbody, advance),
    "fannkuch": (fannkuch, turns_of),
    "spectral_norm": (spectral_norm, multiply, multiply_transposed),
    "int_loop": (int_loop,),
    "float_loop": (float_loop,),
}


def warm_up(kernel):
    result = kernel()
    for _ in range(WARM_UP - 1):
        assert kernel() == result
    return result


def main():
    name = sys.argv[1]
    if name == "all":
        for name, (kernel, *_) in KERNELS.items():
            print(name, warm_up(kernel))
        return
    kernel = KERNELS[name][0]
    result = warm_up(kernel)
    for _ in sys.stdin:
        start = time.process_time()
        again = kernel()
        seconds = time.process_time() - start
        assert again == result
        print(seconds, flush=True)
    compiled = sum(1 for function in KERNELS[name] for code in executors(function) if code)
    print(json.dumps({"result": result, "executors": compiled}))


if __name__ == "__main__":
    main()
