package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
)

// sealFlags say how the TPM that seals is reached. They must be the same for sealing and unsealing.
type sealFlags struct{ address, ownLog, firmwareLog string }

func (s *sealFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.address, "tpm", tpm.DefaultAddress, "`ADDRESS` of the TPM: a device, unix:PATH, tcp:HOST:PORT or swtpm:HOST:PORT")
	f.StringVar(&s.ownLog, "tpm-log", "", "`FILE` that remembers what was measured since the boot; must not outlive one; default below /run/ursa")
	f.StringVar(&s.firmwareLog, "firmware-log", "", "`FILE` of the firmware's log, if it is not the kernel's")
}

// open measures this program first: what is sealed is sealed to it.
func (s *sealFlags) open() (*tpm.Machine, error) {
	var err error
	if s.ownLog == "" {
		if s.ownLog, err = defaultOwnLog(s.address); err != nil {
			return nil, err
		}
	}
	m, err := openTPM(tpm.Config{Address: s.address, OwnLog: s.ownLog, FirmwareLog: s.firmwareLog}, nil)
	if err != nil {
		return nil, err
	}
	if err := measureProgram(m); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

func attestSealCommand() *cobra.Command {
	var s sealFlags
	cmd := &cobra.Command{
		Use:   "seal FILE",
		Short: "Seal a fresh passphrase to this machine's TPM, for key files that nobody else can open",
		Long: "Draws a passphrase and seals it to the TPM's registers: only this machine gives it out, after the same boot, to the same program.\n" +
			"With --key-command 'ursa attest unseal FILE' a core's key is in the clear nowhere but in the memory of this program on this\n" +
			"machine; a copy of its folder is worth nothing. After an update of the program or the firmware the key is lost: make and enrol\n" +
			"a new one. Not for beacons, which measure their configuration too.",
		Example: "  ursa attest seal core.sealed\n  ursa core init core … --key-command 'ursa attest unseal core.sealed'\n" +
			"  ursa core run … --key-command 'ursa attest unseal core.sealed' -- ./train",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := s.open()
			if err != nil {
				return err
			}
			defer m.Close()
			var secret [32]byte
			if _, err := rand.Read(secret[:]); err != nil {
				return err
			}
			data, err := m.Seal([]byte(hex.EncodeToString(secret[:])))
			if err != nil {
				return err
			}
			return writeWhole(args[0], data, 0o600)
		},
	}
	s.register(cmd)
	return cmd
}

func attestUnsealCommand() *cobra.Command {
	var s sealFlags
	cmd := &cobra.Command{
		Use:     "unseal FILE",
		Short:   "Print a sealed passphrase, for --key-command",
		Long:    "Exit status 1 on another machine, after another boot chain, or when another program was measured since the boot.",
		Example: "  ursa core run … --key-command 'ursa attest unseal core.sealed' -- ./train",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readLimited(args[0], tpm.MaxSealed)
			if err != nil {
				return err
			}
			m, err := s.open()
			if err != nil {
				return err
			}
			defer m.Close()
			secret, err := m.Unseal(data)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", secret)
			return err
		},
	}
	s.register(cmd)
	return cmd
}
