"""What runs inside the sandbox: fresh interpreters that load nothing but this folder and the standard library.

Imports in here are relative: the folder is loaded by itself, because `selfimprove` would bring every other library with it.
"""
