"""kill -9 of the leader, again and again, under writers: nothing acknowledged is lost.

HOLDFAST_SECONDS: how long (12; 60 in check-long)."""
import time
import unittest

from cluster import Cluster, main, number
from load import Load

SECONDS = number("HOLDFAST_SECONDS", 12)
EVERY = 3.0


class KillLeader(unittest.TestCase):
    def test_every_acknowledged_write_survives(self):
        with Cluster(3) as cluster:
            cluster.wait_ready()
            end, kills = time.monotonic() + SECONDS, 0
            with Load(cluster) as load:
                while time.monotonic() < end:
                    next_kill = time.monotonic() + EVERY
                    load.wait_progress()
                    leader = cluster.wait_leader()
                    leader.kill()
                    kills += 1
                    load.wait_progress()
                    leader.start()
                    time.sleep(max(0.0, next_kill - time.monotonic()))
            print(f"{kills} leaders killed")
            cluster.wait_ready()
            load.verify(self)


if __name__ == "__main__":
    main()
