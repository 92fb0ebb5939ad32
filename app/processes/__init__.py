"""The processes that Tuneline starts and watches: workers, embedded servers, and the stack of `tuneline up`."""
