"""python3.11 -m hearth script.py args, or -m hearth -m module args: run a program under
hearth's collector. The program's __main__ and sys.argv are as if Python had run it itself."""

import io
import os
import runpy
import sys
import types

import hearth

USAGE = """usage: python3.11 -m hearth [-m MODULE | -c COMMAND | FILE | -] [ARGS...]
Runs a program with hearth as its garbage collector."""


def main(args):
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if args else sys.stderr)
        return 0 if args else 2
    first, rest = args[0], args[1:]
    if first in ("-m", "-c") and not rest:
        print("hearth: %s needs an argument" % first, file=sys.stderr)
        return 2
    if first not in ("-m", "-c", "-") and not os.path.exists(first):
        print("hearth: can't open file %r" % first, file=sys.stderr)
        return 2
    hearth.install()
    if first == "-m":
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv[:] = ["-c"] + rest[1:]
        run_text(rest[0], "<string>")
    elif first == "-":
        sys.argv[:] = args
        run_text(sys.stdin.read(), "<stdin>")
    else:
        sys.argv[:] = args
        run_file(first)
    return 0


def run_file(path):
    if os.path.isdir(path) or not path.endswith((".py", ".pyw")) and is_archive(path):
        runpy.run_path(path, run_name="__main__")
        return
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    with io.open_code(os.path.abspath(path)) as file:
        run_text(file.read(), path, __file__=path, __cached__=None)


def is_archive(path):
    import zipfile
    return zipfile.is_zipfile(path)


def run_text(text, name, **names):
    """In a module __main__ that stays, as for `python3 file`: other modules may import it."""
    code = compile(text, name, "exec", dont_inherit=True)
    module = types.ModuleType("__main__")
    module.__builtins__ = sys.modules["builtins"]
    vars(module).update(names)
    sys.modules["__main__"] = module
    exec(code, vars(module))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
