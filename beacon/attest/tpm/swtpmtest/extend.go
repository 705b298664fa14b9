package swtpmtest

import (
	"net"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
)

// wire sends one command over a connection of its own.
type wire string

func (w wire) Send(command []byte) ([]byte, error) {
	network, place, _ := strings.Cut(string(w), ":")
	c, err := net.Dial(network, place)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, 4096)
	n, err := c.Read(response)
	return response[:n], err
}

// Extend plays the firmware: it extends a digest into a register of the TPM at the address.
func Extend(address string, e tpm.Extend) error {
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(e.PCR), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: e.Digest[:]}}},
	}.Execute(wire(address))
	return err
}
