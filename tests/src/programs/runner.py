"""Runs a program per line of standard input, and answers each with a line: the locals in a lossless form, the exception."""
import gc, json, resource, signal, struct, sys, warnings

warnings.simplefilter("ignore")
sys.set_int_max_str_digits(4300)
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))

STEPS = 20_000
SIZE = 5_000


class TooLong(BaseException):
    pass


def too_long(*_):
    raise TooLong


def sum_before_312(items, *start):
    """From 3.12 on, sum() makes up for what is lost in adding floats."""
    items = list(items)
    if float in map(type, items):
        raise TooLong
    return sum(items, *start)


def sorted_before_313(items):
    """3.13 compares in another order, which shows where there is none."""
    items = list(items)
    if any(x != x for x in items):
        raise TooLong
    return sorted(items)


class Writer:
    """Values with their types; lists, dicts and sets know whether they are the same one."""

    def __init__(self):
        self.seen = {}
        self.size = 0

    def all(self, items):
        return ",".join(map(self.value, items))

    def value(self, x):
        self.size += 1
        t = type(x)
        if self.size > SIZE:
            raise TooLong
        if x is None:
            return "None"
        if t is bool:
            return str(x)
        if t is int:
            if x.bit_length() > 200_000:
                raise TooLong
            return "i%x" % x
        if t is float:
            return "nan" if x != x else "f" + struct.pack(">d", x).hex()
        if t is str:
            self.size += len(x) // 10
            return "s" + " ".join("%x" % ord(c) for c in x)
        if t is tuple:
            return "(" + self.all(x) + ")"
        if t is range:
            return "range(" + self.all((x.start, x.stop, x.step)) + ")"
        if t is slice:
            return "slice(" + self.all((x.start, x.stop, x.step)) + ")"
        if t is type:
            return "type " + x.__name__
        if t is list or t is dict or t is set:
            number = self.seen.get(id(x))
            if number is not None:
                return "#%d" % number
            number = self.seen[id(x)] = len(self.seen)
            if t is list:
                return "#%d[" % number + self.all(x) + "]"
            if t is dict:
                return "#%d{" % number + ",".join(self.value(k) + ":" + self.value(v) for k, v in x.items()) + "}"
            return "#%d{" % number + ",".join(sorted(map(self.value, x))) + "}"
        return "a " + t.__name__


class Tracer:
    """Counts the statements of a function."""

    def __init__(self, code):
        self.code = code
        self.left = STEPS

    def call(self, frame, event, argument):
        return self.line if frame.f_code is self.code else None

    def line(self, frame, event, argument):
        if event == "line":
            self.left -= 1
            if self.left < 0:
                raise TooLong
        return self.line


def run(source, names):
    scope = {}
    if sys.version_info < (3, 12):
        scope["sum"] = sum_before_312
    if sys.version_info < (3, 13):
        scope["sorted"] = sorted_before_313
    exec(compile(source, "program", "exec"), scope)
    function, arguments = scope["f"], scope["arguments"]
    tracer = Tracer(function.__code__)
    error = None
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        sys.settrace(tracer.call)
        try:
            found = function(*arguments)
        except Exception as e:
            at = e.__traceback__
            while at.tb_frame.f_code is not tracer.code:
                at = at.tb_next
            found = at.tb_frame.f_locals
            error = [type(e).__name__, str(e)]
        finally:
            sys.settrace(None)
        writer = Writer()
        values = [writer.value(found[name]) if name in found else None for name in names]
    except (TooLong, RecursionError, MemoryError):
        return {}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        scope.clear()
    return {"locals": values, "error": error, "steps": STEPS - tracer.left}


signal.signal(signal.SIGALRM, too_long)
gc.disable()
gc.collect()
gc.freeze()
print(json.dumps(sys.version_info[:3]), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = run(question["source"], question["names"])
    except TooLong:
        answer = {}
    answer["cycles"] = gc.collect() > 0
    print(json.dumps(answer), flush=True)
