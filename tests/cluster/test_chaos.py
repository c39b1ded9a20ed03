"""Chaos on real processes: see chaos.py.

HOLDFAST_CHAOS_SECONDS: how long on three nodes (24); HOLDFAST_CHAOS_SECONDS_FIVE: on five (0: not);
HOLDFAST_CHAOS_SECONDS_NAMESPACES: on three in network namespaces (0: not)."""
import os
import subprocess
import sys
import unittest

import chaos
import chaos_faults
from cluster import SEED, main, number


class Chaos(unittest.TestCase):
    def test_three_nodes_stay_linearizable_and_converge(self):
        self.assertEqual(chaos.play(3, number("HOLDFAST_CHAOS_SECONDS", 24), SEED), [])

    def test_five_nodes_stay_linearizable_and_converge(self):
        seconds = number("HOLDFAST_CHAOS_SECONDS_FIVE", 0)
        if seconds == 0:
            self.skipTest("HOLDFAST_CHAOS_SECONDS_FIVE is 0")
        self.assertEqual(chaos.play(5, seconds, SEED), [])

    def test_three_nodes_whose_packets_get_lost(self):
        """By network namespaces, where that is allowed."""
        seconds = number("HOLDFAST_CHAOS_SECONDS_NAMESPACES", 0)
        if seconds == 0:
            self.skipTest("HOLDFAST_CHAOS_SECONDS_NAMESPACES is 0")
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos.py")
        status = subprocess.run([sys.executable, program, "--namespaces", f"--seconds={seconds}",
                                 f"--seed={SEED}"], check=False).returncode
        if status == 77:
            self.skipTest("network namespaces are not allowed here")
        self.assertEqual(status, 0)

    def test_disks_that_lie_about_flushes_are_found_out(self):
        """Proves that a power loss here loses what was not flushed."""
        problems = chaos.play(3, 15, SEED, (chaos_faults.PowerAll,), lying=True, keep=False)
        self.assertTrue(problems, "all nodes lost what they had said was flushed, and nobody noticed")


if __name__ == "__main__":
    main()
