"""python/setup.py - builds the wheel of the package hearth from a checkout of the repository.

The extension is compiled by the repository's Makefile (`make python`), since it consists of python/src and of the
collector's own sources beside this directory. hearth.pth goes to the top of site-packages: it takes a
process over at its start if HEARTH_PYTHON is set. What pyproject.toml says is not repeated here.
"""
import os
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
OUT = os.path.join("build", "pip")


class BuildByMake(build_ext):
    """`make python` for the interpreter that runs this, into a directory of its own."""

    def build_extension(self, extension):
        if not os.path.exists(os.path.join(ROOT, "gc", "heap.h")):
            raise SystemExit(f"hearth is built from a checkout: {ROOT} has no sources of the collector")
        target = os.path.join(OUT, "hearth", os.path.basename(self.get_ext_filename(extension.name)))
        subprocess.run(
            ["make", "-C", ROOT, f"PYTHON={sys.executable}", f"PY_OUT={OUT}", f"PY_OBJ={OUT}/obj", target], check=True
        )
        destination = self.get_ext_fullpath(extension.name)
        os.makedirs(os.path.dirname(destination), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, target), destination)


class BuildWithPth(build_py):
    """The package, and hearth.pth beside it."""

    def run(self):
        super().run()
        os.makedirs(self.build_lib, exist_ok=True)
        self.copy_file(os.path.join(HERE, "hearth.pth"), os.path.join(self.build_lib, "hearth.pth"))

    def get_outputs(self, include_bytecode=True):
        return super().get_outputs(include_bytecode) + [os.path.join(self.build_lib, "hearth.pth")]


setup(
    ext_modules=[Extension("hearth._core", sources=[])],
    cmdclass={"build_ext": BuildByMake, "build_py": BuildWithPth},
)
