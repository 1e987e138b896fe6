"""Which exceptions of item pipelines are outages: what a pipeline writes to cannot be reached at the moment."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from socket import gaierror

from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.error import TimeoutError as TwistedTimeout

from scrapy_t8.utils.classes import path_of

ERRORS = (
    ConnectionError,
    TimeoutError,
    asyncio.TimeoutError,
    DeferredTimeout,
    TwistedTimeout,
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
NAMES = """
psycopg.OperationalError psycopg.errors.OperationalError psycopg_pool.PoolTimeout psycopg2.OperationalError
asyncpg.exceptions.PostgresConnectionError asyncpg.exceptions.CannotConnectNowError
asyncpg.exceptions._base.InterfaceError
pymysql.err.OperationalError MySQLdb.OperationalError MySQLdb._exceptions.OperationalError
mysql.connector.errors.OperationalError mysql.connector.errors.InterfaceError
sqlalchemy.exc.OperationalError sqlalchemy.exc.TimeoutError
pymongo.errors.AutoReconnect pymongo.errors.ServerSelectionTimeoutError pymongo.errors.NetworkTimeout
redis.exceptions.ConnectionError redis.exceptions.TimeoutError redis.exceptions.BusyLoadingError
elasticsearch.exceptions.ConnectionError elastic_transport.ConnectionError elastic_transport.ConnectionTimeout
elastic_transport._exceptions.ConnectionError elastic_transport._exceptions.ConnectionTimeout
opensearchpy.exceptions.ConnectionError cassandra.cluster.NoHostAvailable
kafka.errors.KafkaConnectionError kafka.errors.NoBrokersAvailable kafka.errors.KafkaTimeoutError
pika.exceptions.AMQPConnectionError
requests.exceptions.ConnectionError requests.exceptions.Timeout
urllib3.exceptions.NewConnectionError urllib3.exceptions.MaxRetryError urllib3.exceptions.ProtocolError
aiohttp.client_exceptions.ClientConnectionError aiohttp.ClientConnectionError
httpx.TransportError httpcore.NetworkError httpcore.TimeoutException
botocore.exceptions.EndpointConnectionError botocore.exceptions.ConnectionClosedError
botocore.exceptions.ConnectTimeoutError botocore.exceptions.ReadTimeoutError
google.api_core.exceptions.ServiceUnavailable
""".split()
"""Paths of the errors of clients: nothing is imported for them."""
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
MYSQL_SERVER = range(1000, 2000)
"""Numbers of errors that a MySQL server reports, so that the server is there. Numbers from 2000 are of the client."""
MYSQL_BUSY = (1040, 1053, 1077, 1079, 1158, 1159, 1160, 1161, 1203, 1205, 1213)
"""Those of a server that is starting, stopping, or has too much to do."""
SQLITE_BUSY = ("database is locked", "database table is locked")


class OutageErrors:
    """The errors that are outages.

    :param paths: of classes, besides the usual ones.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths = {*NAMES, *paths}

    def __contains__(self, error: object) -> bool:
        if isinstance(error, ERRORS):
            return True
        if isinstance(error, OSError) and (type(error) is gaierror or error.errno in UNREACHABLE):
            return True
        if _is_of_sqlite(error):
            return str(error).startswith(SQLITE_BUSY)
        named = any(path_of(cls) in self._paths for cls in type(error).__mro__)
        return named and not _is_answer(error)


def _is_answer(error: object) -> bool:
    """Whether a database that is there has refused something: its clients have the same class for both."""
    original = getattr(error, "orig", None)  # of SQLAlchemy
    if _is_of_sqlite(original):
        return not str(original).startswith(SQLITE_BUSY)
    arguments = getattr(original or error, "args", ())
    number = arguments[0] if arguments else None
    return isinstance(number, int) and number in MYSQL_SERVER and number not in MYSQL_BUSY


def _is_of_sqlite(error: object) -> bool:
    return type(error).__name__ == "OperationalError" and type(error).__module__.startswith("sqlite")
