package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files of an auditor's folder.
const (
	auditorKeyName    = "auditor.key"
	auditorPublicName = "auditor.json"
)

func gateAuditorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "auditor",
		Short: "An auditor: the only one who can read evidence that a gate keeps",
		Long: "Evidence says where cores were. A gate that is given auditors' public files keeps it so that only they can read it: not the host of\n" +
			"the gate, nor whoever gets its disk.",
		Example: "  ursa gate auditor init auditor\n  ursa gate serve --dir gate --directory directory.ursa --auditor auditor.json\n" +
			"  ursa gate auditor open gate/evidence/FILE.locked --dir auditor --out proof.ursa && ursa verify proof.ursa",
	}
	cmd.AddCommand(gateAuditorInitCommand(), gateAuditorOpenCommand())
	return cmd
}

func gateAuditorInitCommand() *cobra.Command {
	var keys keyFlags
	cmd := &cobra.Command{
		Use:     "init DIR",
		Short:   "Make an auditor's key, and the public file for gates",
		Long:    "Makes DIR with the auditor's key (encrypted) and auditor.json, for 'ursa gate serve --auditor'.",
		Example: "  ursa gate auditor init auditor --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			key, err := identity.Generate(identity.RoleAuditor, rand.Reader)
			if err != nil {
				return err
			}
			if err := newHome(args[0]); err != nil {
				return err
			}
			if err := identity.SaveKey(filepath.Join(args[0], auditorKeyName), key, protect); err != nil {
				return err
			}
			public := filepath.Join(args[0], auditorPublicName)
			if err := writeJSON(public, publicOf(key), 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "auditor  %s\npublic   %s: give it to gates\n", key.ID(), public)
			return err
		},
	}
	keys.register(cmd)
	return cmd
}

func gateAuditorOpenCommand() *cobra.Command {
	var keys keyFlags
	var dir, out string
	cmd := &cobra.Command{
		Use:     "open FILE",
		Short:   "Open evidence that was locked to this auditor, for 'ursa verify'",
		Long:    "Opens a file of a gate's evidence folder. What it holds is still to be verified: 'ursa verify' does.",
		Example: "  ursa gate auditor open gate/evidence/FILE.locked --dir auditor --out proof.ursa --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "out"); err != nil {
				return err
			}
			protect, err := keys.protector(cmd, false)
			if err != nil {
				return err
			}
			locked, err := readLimited(args[0], 2*evidence.MaxSize)
			if err != nil {
				return err
			}
			key, err := identity.LoadKey(filepath.Join(dir, auditorKeyName), protect)
			if err != nil {
				return err
			}
			file, err := evidence.Unlock(locked, key)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return writeWhole(out, file, 0o600)
		},
	}
	keys.register(cmd)
	cmd.Flags().StringVar(&dir, "dir", ".", "the auditor's `DIR`, which 'gate auditor init' made")
	cmd.Flags().StringVar(&out, "out", "", "write the evidence to `FILE`")
	return cmd
}

// readAuditors reads the public files of auditors.
func readAuditors(paths []string) ([]identity.Public, error) {
	var out []identity.Public
	for _, path := range paths {
		p, err := readPublic(path, identity.RoleAuditor)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Key)
	}
	return out, nil
}
