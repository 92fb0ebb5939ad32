"""The doctor: checks this machine and the servers, and says how to fix each fault.

It changes nothing but keys and one object that it writes, reads and deletes again; it prints nothing.
"""

from app.doctor.finding import Finding
from app.doctor.machine import embedded_servers, file_descriptors, free_disk, gpu, memory, port
from app.doctor.packages import pinned_packages, python_version
from app.doctor.queues import queues
from app.doctor.servers import StackFile, object_store, redis_server, registry_index
from app.settings import Settings
from app.stack_file import stack_file

__all__ = ["Finding", "diagnose"]


def diagnose(settings: Settings) -> list[Finding]:
    """Return what was found: the installation, the machine, the servers, the ports.

    Takes some seconds where torch is installed, and up to `redis_timeout_s` for a Redis that is silent.
    """
    stack = StackFile.read(stack_file(settings))
    return [
        python_version(),
        *pinned_packages(),
        embedded_servers(needed=settings.redis_url is None or settings.s3_endpoint_url is None),
        memory(),
        free_disk(settings.state_dir),
        file_descriptors(),
        gpu(),
        *redis_server(settings, stack),
        object_store(settings, stack),
        *registry_index(settings, stack),
        *queues(settings),
        port("API port", settings.api_host, settings.api_port, "TUNELINE_API_PORT"),
        port("serving port", settings.serving_host, settings.serving_port, "TUNELINE_SERVING_PORT"),
    ]
