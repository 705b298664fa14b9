package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// DefaultAddress is the kernel's resource manager.
const DefaultAddress = "/dev/tpmrm0"

// The refusals of a way to a TPM.
var (
	ErrAddress  = errors.New(`TPM address must be a device such as /dev/tpmrm0, "unix:PATH" or "tcp:HOST:PORT"`)
	ErrResponse = errors.New("TPM's response is not well formed")
)

// commandTime bounds one command on a socket. Making an RSA key takes seconds.
const commandTime = 30 * time.Second

// maxResponse is the largest TPM response in bytes.
const maxResponse = 4096

// open finds the way that an address names.
func open(address string) (transport.TPMCloser, error) {
	switch network, rest, _ := strings.Cut(address, ":"); {
	case filepath.IsAbs(address):
		t, err := linuxtpm.Open(address)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: there is no %s here", ErrAddress, address)
		}
		return t, err
	case network == "swtpm" && rest != "": // another word for it
		return socket{"tcp", rest}, nil
	case (network == "unix" || network == "tcp") && rest != "":
		return socket{network, rest}, nil
	}
	return nil, fmt.Errorf("%w, got %q", ErrAddress, address)
}

// socket speaks to swtpm's raw command socket: one connection for each command, as swtpm serves one client at a time.
type socket struct{ network, address string }

// Send implements transport.TPM.
func (s socket) Send(command []byte) ([]byte, error) {
	c, err := net.DialTimeout(s.network, s.address, commandTime)
	if err != nil {
		return nil, fmt.Errorf("TPM socket: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(commandTime)); err != nil {
		return nil, err
	}
	if _, err := c.Write(command); err != nil {
		return nil, fmt.Errorf("TPM socket: %w", err)
	}
	header := make([]byte, 10) // tag, size of the whole response, return code
	if _, err := io.ReadFull(c, header); err != nil {
		return nil, fmt.Errorf("TPM socket: %w", err)
	}
	size := binary.BigEndian.Uint32(header[2:])
	if size < 10 || size > maxResponse {
		return nil, fmt.Errorf("%w: %d bytes announced", ErrResponse, size)
	}
	response := append(header, make([]byte, size-10)...)
	if _, err := io.ReadFull(c, response[10:]); err != nil {
		return nil, fmt.Errorf("TPM socket: %w", err)
	}
	return response, nil
}

// Close implements transport.TPMCloser.
func (socket) Close() error { return nil }
