// Package swtpm makes and runs software TPMs (the programs swtpm, swtpm_setup and swtpm_localca) for demonstrations and tests: each in
// a folder of its own, with endorsement certificates of an authority of its own.
//
// What it believes: nothing. What it promises: quotes, credential activation and registers that behave as a TPM's do, as they are
// made by the same reference code. It does not make a machine trustworthy: whoever has the folder has the TPM, and whoever has the
// authority's folder is its manufacturer. No production policy names these authorities.
package swtpm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The refusals.
var (
	ErrNotInstalled = errors.New("software TPM is not installed: install the packages swtpm and swtpm-tools")
	ErrFailed       = errors.New("software TPM does not work")
)

// Installed says whether the programs are there: ErrNotInstalled with the name of the first one missing.
func Installed() error {
	for _, program := range []string{"swtpm", "swtpm_setup", "swtpm_localca"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (there is no %s)", ErrNotInstalled, program)
		}
	}
	return nil
}

// Authority is a pretended manufacturer: a root and an issuer, whose keys lie in its folder.
type Authority struct{ dir string }

// NewAuthority makes the folder. The keys are made with the first TPM.
func NewAuthority(dir string) (Authority, error) {
	a := Authority{dir}
	if err := os.MkdirAll(a.ca(), 0o700); err != nil {
		return a, err
	}
	tool, err := exec.LookPath("swtpm_localca")
	if err != nil {
		return a, Installed()
	}
	for name, text := range map[string]string{
		"localca.conf":    fmt.Sprintf("statedir = %[1]s\nsigningkey = %[1]s/key.pem\nissuercert = %[1]s/issuer.pem\ncertserial = %[1]s/serial\n", a.ca()),
		"localca.options": "--platform-manufacturer Ursa\n--platform-version 1\n--platform-model test\n",
		"setup.conf": fmt.Sprintf("create_certs_tool= %s\ncreate_certs_tool_config = %[2]s/localca.conf\ncreate_certs_tool_options = %[2]s/localca.options\n",
			tool, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a Authority) ca() string { return filepath.Join(a.dir, "ca") }

// Manufacture makes a TPM's state in dir, with an endorsement certificate of the authority. It takes most of a second, mostly waiting.
func (a Authority) Manufacture(ctx context.Context, dir string) error {
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "swtpm_setup", "--tpm2", "--tpmstate", state, "--create-ek-cert", "--config", filepath.Join(a.dir, "setup.conf"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: swtpm_setup: %w: %s", ErrFailed, err, firstLine(out))
	}
	return nil
}

// Certificates reads the authority's root, and the issuer in between in DER.
func (a Authority) Certificates() (root *x509.Certificate, issuer []byte, err error) {
	read := func(name string) ([]byte, error) {
		data, err := os.ReadFile(filepath.Join(a.ca(), name))
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, fmt.Errorf("%w: %s holds no certificate", ErrFailed, name)
		}
		return block.Bytes, nil
	}
	der, err := read("swtpm-localca-rootca-cert.pem")
	if err != nil {
		return nil, nil, err
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, err
	}
	issuer, err = read("issuer.pem")
	return root, issuer, err
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// Running is a TPM that is switched on.
type Running struct {
	Address string // as package tpm takes it
	cmd     *exec.Cmd
	ended   chan struct{}
}

// startTime bounds how long a TPM may take to listen, on a busy machine.
const startTime = 30 * time.Second

// Start boots the TPM of a folder on a unix socket in it, or with tcp on a port of the loopback address. The folder's name must be short:
// a socket's name has at most 107 bytes.
func Start(dir string, tcp bool) (r *Running, err error) {
	if !tcp {
		socket := filepath.Join(dir, "sock")
		_ = os.Remove(socket)
		return start(dir, "unix", socket, "type=unixio,path="+socket)
	}
	for range 10 { // somebody may take the port before the TPM does
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		if r, err = start(dir, "tcp", fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port)); err == nil {
			return r, nil
		}
	}
	return nil, err
}

// freePort is a port of the loopback address on which nobody listens. It lies below those that the system gives to sockets without one, and
// that tests of commands choose among: one of these could take it before it is used.
func freePort() (port int, err error) {
	for range 100 {
		port = 3_000 + rand.IntN(7_000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("%w: no free port: %w", ErrFailed, err)
}

func start(dir, network, place, server string) (*Running, error) {
	var said bytes.Buffer
	r := &Running{Address: network + ":" + place, ended: make(chan struct{}), cmd: exec.Command("swtpm", "socket", "--tpm2", "--tpmstate",
		"dir="+filepath.Join(dir, "state"), "--server", server, "--flags", "not-need-init,startup-clear")}
	r.cmd.Stdout, r.cmd.Stderr = &said, &said
	if err := r.launch(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	for until := time.Now().Add(startTime); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial(network, place)
		if err == nil {
			return r, c.Close()
		}
		select {
		case <-r.ended:
			return nil, fmt.Errorf("%w: it ended: %s", ErrFailed, firstLine(said.Bytes()))
		default:
		}
		if time.Now().After(until) {
			r.Stop()
			return nil, fmt.Errorf("%w: it does not listen at %s", ErrFailed, place)
		}
	}
}

// launch starts the program, and sees to it that it does not outlive this one, however this one ends. The kernel ties that to the
// thread that started it, not to the process, so one thread does nothing but start it and wait for its end.
func (r *Running) launch() error {
	r.cmd.SysProcAttr = endsWithParent()
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // to the end of this goroutine, which is the end of the child
		defer close(r.ended)
		err := r.cmd.Start()
		started <- err
		if err == nil {
			_ = r.cmd.Wait()
		}
	}()
	return <-started
}

// Stop switches the TPM off, as a power cut would.
func (r *Running) Stop() {
	_ = r.cmd.Process.Kill()
	<-r.ended
}
