from . import listen
