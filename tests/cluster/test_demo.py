"""`holdfast demo`: the tour, a killed leader, Ctrl-C, a directory that is kept."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.request

from cluster import PATIENCE, PROGRAM, main, wait_for


class Demo:
    """A demo that runs, and what it has said so far."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([PROGRAM, "demo", *flags], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
        self.said = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.said += line

    def __enter__(self):
        self.wait_said("Ctrl-C stops the cluster")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.interrupt()
        self.process.stdout.close()

    def wait_said(self, words):
        wait_for(f"the demo says: {words}", lambda: words in self.said or self.process.poll() is not None,
                 40)
        if words not in self.said:
            raise AssertionError(f"the demo ended; it said:\n{self.said}")

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(30 * PATIENCE)
        self.reader.join()
        return status

    def nodes(self):
        return {name: (url, int(pid)) for name, url, pid in
                re.findall(r"(node\d)  (http://\S+)   process (\d+)", self.said)}

    def directory(self):
        return re.search(r"their data is in (\S+)", self.said).group(1)

    def leader(self):
        return re.search(r"runs; (\w+) leads", self.said).group(1)


def gone(pid):
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        return True


def http(method, url, body=None):
    request = urllib.request.Request(url, data=body, method=method)
    with urllib.request.urlopen(request, timeout=10 * PATIENCE) as answer:
        return answer.read()


class DemoTest(unittest.TestCase):
    def test_the_tour(self):
        ran = subprocess.run([PROGRAM, "demo", "--tour"], capture_output=True, text=True,
                             timeout=120 * PATIENCE, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("nothing lost", ran.stdout)
        directory = re.search(r"their data is in (\S+)", ran.stdout).group(1)
        self.assertFalse(os.path.exists(directory), "a directory of its own is removed")

    def test_it_stays_and_restarts_what_is_killed(self):
        with Demo() as demo:
            nodes = demo.nodes()
            self.assertEqual(len(nodes), 3)
            http("PUT", nodes["node1"][0] + "/kv/hello", b'{"value":"world"}')
            os.kill(nodes[demo.leader()][1], signal.SIGKILL)
            demo.wait_said(f"{demo.leader()} is started again")
            for url, _ in nodes.values():
                wait_for(f"{url} answers", lambda url=url: self.reads(url), 30)
            directory = demo.directory()
            self.assertEqual(demo.interrupt(), 0)
            self.assertFalse(os.path.exists(directory))
            for name, (_, pid) in nodes.items():
                self.assertTrue(gone(pid), f"{name} was left behind")

    @staticmethod
    def reads(url):
        try:
            return b"world" in http("GET", url + "/kv/hello")
        except OSError:
            return False

    def test_a_directory_of_ones_own_is_kept(self):
        folder = tempfile.mkdtemp(prefix="holdfast-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with Demo("--dir", folder, "--nodes=1") as demo:
            http("PUT", demo.nodes()["node1"][0] + "/kv/hello", b'{"value":"world"}')
            self.assertEqual(demo.interrupt(), 0)
            self.assertIn(f"kept in {folder}", demo.said)
        with Demo("--dir", folder, "--nodes=1") as demo:
            self.assertTrue(self.reads(demo.nodes()["node1"][0]), "it is still there")
        ran = subprocess.run([PROGRAM, "demo", "--dir", folder], capture_output=True, text=True,
                             timeout=60 * PATIENCE, check=False)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("another size", ran.stderr)

    def test_its_nodes_do_not_outlive_it(self):
        with Demo() as demo:
            nodes, directory = demo.nodes(), demo.directory()
            demo.process.kill()
            demo.process.wait()
            for name, (_, pid) in nodes.items():
                wait_for(f"{name} ends", lambda pid=pid: gone(pid), 20)
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
