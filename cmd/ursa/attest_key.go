package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files of an appraiser's folder.
const (
	appraiserKeyName    = "appraiser.key"
	appraiserPublicName = "appraiser.json"
)

func attestKeyCommand() *cobra.Command {
	var keys keyFlags
	cmd := &cobra.Command{
		Use:     "key DIR",
		Short:   "Make an appraiser's key, and its public file for the directory",
		Long:    "The key signs results and enrolments. The directory's signers put appraiser.json in with 'ursa directory add'.",
		Example: "  ursa attest key appraiser --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			k, err := identity.Generate(identity.RoleAppraiser, rand.Reader)
			if err != nil {
				return err
			}
			if err := newHome(args[0]); err != nil {
				return err
			}
			if err := identity.SaveKey(filepath.Join(args[0], appraiserKeyName), k, protect); err != nil {
				return err
			}
			public := filepath.Join(args[0], appraiserPublicName)
			if err := writeJSON(public, publicOf(k), 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "appraiser  %s\npublic     %s: send it to the directory's signers and to everybody whom you enrol\n", k.ID(), public)
			return err
		},
	}
	keys.register(cmd)
	return cmd
}

func attestMachineCommand() *cobra.Command {
	var address string
	var issuers []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "machine",
		Short: "Print what this machine is called: by its TPM's endorsement key",
		Long: "The name stands in enrolments, in --machines of 'ursa attest serve' and in directory entries. Whoever puts it there has looked\n" +
			"at the machine: a TPM of the same make in another one has another name, but no signature says where it is.",
		Example: "  ursa attest machine --tpm /dev/tpmrm0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := openTPM(tpm.Config{Address: address}, issuers)
			if err != nil {
				return err
			}
			defer m.Close()
			name, err := m.Name()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, map[string]machineName{"machine": name})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%x\n", name)
			return err
		},
	}
	tpmFlags(cmd, &address, &issuers)
	_ = cmd.Flags().MarkHidden("issuer")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
