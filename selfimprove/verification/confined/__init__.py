"""What runs inside the sandbox: fresh interpreters that load only this folder and the standard library.

Imports in here are relative, because the folder is loaded by itself: `selfimprove` would bring in every other library.
"""
