"""cases/api_shape.py - the module as introspection sees it: names, signatures, kinds of the functions."""
import checked

import gc
import inspect

for name in sorted(dir(gc)):
    if name.startswith("__"):
        continue
    value = getattr(gc, name)
    if inspect.isbuiltin(value):
        try:
            signature = str(inspect.signature(value))
        except ValueError:
            signature = "no signature"
        print(name, type(value).__name__, value.__name__, value.__qualname__, signature)
    else:
        print(name, type(value).__name__, value if isinstance(value, int) else "")
print(gc.callbacks is gc.callbacks, gc.garbage is gc.garbage)
print("documented", bool(gc.__doc__), all(getattr(gc, n).__doc__ for n in dir(gc) if callable(getattr(gc, n)) and n[0] != "_"))
