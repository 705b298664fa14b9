package swtpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
)

// wire sends one command over a connection of its own.
type wire string

// Send implements go-tpm's transport.
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

// Boot plays a small imaginary boot: it writes a firmware's log to path and extends what the log says. Flavours are different firmware.
func Boot(address, path string, flavour byte) error {
	events, err := Firmware(path, flavour)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := Extend(address, e); err != nil {
			return err
		}
	}
	return nil
}

// Firmware writes a log of an imaginary boot in the TCG's format, and returns what it says was extended.
func Firmware(path string, flavour byte) ([]tpm.Extend, error) {
	var log bytes.Buffer
	le := func(v any) { _ = binary.Write(&log, binary.LittleEndian, v) } // a buffer takes everything
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
	return out, os.WriteFile(path, log.Bytes(), 0o600)
}
