"""Sotto and those it is compared with, in the order of the tables."""

from .echo import Grpc, Tcp, Zeromq, ZeromqPlain
from .nginx import Nginx, NginxTls
from .redis import Redis, RedisGet, RedisTls
from .sotto import Sotto, SottoOther

ALL = [Sotto, SottoOther, Tcp, Redis, RedisGet, RedisTls, Nginx, NginxTls, Zeromq, ZeromqPlain, Grpc]
NAMES = [peer.name for peer in ALL]
EXTRA = ["zeromq-plain", "sotto-other"]  # only when asked for
