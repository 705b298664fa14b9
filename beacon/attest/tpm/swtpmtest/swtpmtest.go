// Package swtpmtest runs software TPMs (swtpm) for tests: each in a folder of its own, with an endorsement certificate of an authority
// of its own. Nothing of it is for production: whoever has the folder has the TPM.
package swtpmtest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
)

// swtpm is one running software TPM.
type swtpm struct {
	dir    string
	socket string
	tcp    string // second way in, if asked for
}

// Need skips where the programs are absent; in CI their absence is a failure.
func Need(t testing.TB) {
	t.Helper()
	for _, program := range []string{"swtpm", "swtpm_setup", "swtpm_localca"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed, and CI must test against it: install swtpm and swtpm-tools", program)
			}
			t.Skipf("%s is not installed (Debian: swtpm swtpm-tools)", program)
		}
	}
}

// Manufacture makes a TPM's state with an endorsement certificate of a fresh CA in dir/ca.
func Manufacture(t testing.TB, dir string) {
	t.Helper()
	state, ca := filepath.Join(dir, "state"), filepath.Join(dir, "ca")
	for _, d := range []string{state, ca} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("localca.conf", fmt.Sprintf("statedir = %[1]s\nsigningkey = %[1]s/key.pem\nissuercert = %[1]s/issuer.pem\ncertserial = %[1]s/serial\n", ca))
	write("localca.options", "--platform-manufacturer Ursa\n--platform-version 1\n--platform-model test\n")
	localca, _ := exec.LookPath("swtpm_localca")
	write("setup.conf", fmt.Sprintf("create_certs_tool= %s\ncreate_certs_tool_config = %[2]s/localca.conf\ncreate_certs_tool_options = %[2]s/localca.options\n", localca, dir))
	cmd := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", state, "--create-ek-cert", "--config", filepath.Join(dir, "setup.conf"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
}

// Start boots the TPM in dir on a unix or TCP socket and returns its address as package tpm takes it; stop ends it, as a power cut would.
func Start(t testing.TB, dir string, tcp bool) (address string, stop func()) {
	t.Helper()
	s := &swtpm{dir: dir, socket: filepath.Join(dir, "sock")}
	server := "type=unixio,path=" + s.socket
	if tcp {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.tcp = l.Addr().String()
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		server = fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port)
	}
	_ = os.Remove(s.socket)
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+filepath.Join(dir, "state"), "--server", server,
		"--flags", "not-need-init,startup-clear")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	t.Cleanup(stop)
	network, place := "unix", s.socket
	if tcp {
		network, place = "tcp", s.tcp
	}
	for until := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial(network, place)
		if err == nil {
			c.Close()
			return network + ":" + place, stop
		}
		select {
		case <-ended:
			t.Fatalf("swtpm ended: %s", said.String())
		default:
		}
		if time.Now().After(until) {
			t.Fatal("swtpm does not listen")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ShortDir is a folder whose sockets' names fit into a socket address.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Authorities reads the CA that Manufacture made: the root, and the issuer in between in DER.
func Authorities(t testing.TB, dir string) (root *x509.Certificate, issuer []byte) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, "ca", name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		return block.Bytes
	}
	root, err := x509.ParseCertificate(read("swtpm-localca-rootca-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return root, read("issuer.pem")
}

// Firmware writes a log of a small imaginary boot in the TCG's format, and returns what it extended.
func Firmware(t testing.TB, path string, flavour byte) []tpm.Extend {
	t.Helper()
	var log bytes.Buffer
	le := func(v any) { _ = binary.Write(&log, binary.LittleEndian, v) }
	spec := slices.Concat([]byte("Spec ID Event03\x00"), make([]byte, 4), []byte{0, 2, 0, 2}, []byte{2, 0, 0, 0}, []byte{0x04, 0, 20, 0}, []byte{0x0b, 0, 32, 0}, []byte{0})
	le(uint32(0))
	le(uint32(3))
	log.Write(make([]byte, 20))
	le(uint32(len(spec)))
	log.Write(spec)
	var out []tpm.Extend
	for pcr := range uint8(8) {
		for _, data := range [][]byte{{pcr, flavour}, {0, 0, 0, 0}} {
			e := tpm.Extend{PCR: pcr, Digest: sha256.Sum256(data)}
			out = append(out, e)
			le(uint32(pcr))
			le(uint32(4))
			le(uint32(2))
			le(uint16(4))
			log.Write(make([]byte, 20))
			le(uint16(0x0b))
			log.Write(e.Digest[:])
			le(uint32(len(data)))
			log.Write(data)
		}
	}
	if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}
