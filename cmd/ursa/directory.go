package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func directoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "directory",
		Short: "The signed constellation: who the beacons are, where they stand, whom they answer",
		Long: "A directory lists beacons with their surveyed positions, the gates that may ask them and the appraisers that count.\n" +
			"It is signed, it has an epoch that only goes up, and it expires. Everybody checks it against the trust file.\n\n" +
			"The folder of 'init' holds the draft (draft.json, which may be edited by hand), the signing keys, the trust file\n" +
			"for everybody, and the simulated attestation platform.",
		Example: "  ursa directory init dir --name demo\n  ursa directory add dir frankfurt/beacon.json gate/gate.json\n" +
			"  ursa directory sign dir\n  ursa directory verify dir/directory.ursa --trust dir/trust.json",
	}
	cmd.AddCommand(directoryInitCommand(), directoryAddCommand(), directorySignCommand(), directoryVerifyCommand(), directoryShowCommand(),
		directoryMakerCommand(), directoryExpectCommand(), directoryAdmitSimCommand())
	return cmd
}

func directoryInitCommand() *cobra.Command {
	var keys keyFlags
	var name string
	var signers, threshold int
	var noSim bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a constellation: signing keys, trust file, empty draft, simulated platform",
		Long: "Makes DIR with the keys that sign the directory (move them to different people where there are several), the trust file\n" +
			"that everybody gets by a way of its own, and an empty draft.\n\n" + simNotice,
		Example: "  ursa directory init dir --name demo --passphrase-file pass\n  ursa directory init dir --name demo --keys 3 --threshold 2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "name"); err != nil {
				return err
			}
			if signers < 1 || signers > directory.MaxSignatures || threshold < 1 || threshold > signers {
				return usagef("--keys %d --threshold %d: use 1 to %d keys, and 1 to all of them", signers, threshold, directory.MaxSignatures)
			}
			if err := directory.CheckDomains([]string{name}); err != nil {
				return usagef("--name %q: use one word of printable ASCII", name)
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			return foundConstellation(cmd, args[0], trustFile{Constellation: name, Threshold: threshold}, signers, !noSim, protect)
		},
	}
	keys.register(cmd)
	cmd.Flags().StringVar(&name, "name", "", "the constellation's `NAME`: attestation results are made for it")
	cmd.Flags().IntVar(&signers, "keys", 1, "how many keys may sign")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "how many signatures a directory needs")
	cmd.Flags().BoolVar(&noSim, "no-sim", false, "make no simulated platform: nothing but real machines will count")
	return cmd
}

// foundConstellation makes keys, trust file, draft and simulated platform.
func foundConstellation(cmd *cobra.Command, dir string, t trustFile, signers int, sim bool, protect identity.Protector) error {
	if err := newHome(dir); err != nil {
		return err
	}
	for i := range signers {
		key, err := identity.Generate(identity.RoleDirectory, rand.Reader)
		if err != nil {
			return err
		}
		if err := identity.SaveKey(filepath.Join(dir, fmt.Sprintf("directory-%d.key", i+1)), key, protect); err != nil {
			return err
		}
		t.Roots = append(t.Roots, key.Public())
	}
	var d draft
	simDir := "none: 'ursa directory maker' and 'add appraiser.json' say what counts"
	if sim {
		simDir = filepath.Join(dir, "sim")
		root, appraiser, err := newSim(simDir, t.Constellation)
		if err != nil {
			return err
		}
		d = draft{AttestRoots: []publicFile{root}, Appraisers: []publicFile{appraiser}}
		fmt.Fprintln(cmd.ErrOrStderr(), simNotice)
	}
	if err := d.save(dir); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, trustName), t, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "constellation  %s: %d of %d keys sign\ntrust          %s, fingerprint %s\nsim            %s\n",
		t.Constellation, t.Threshold, signers, filepath.Join(dir, trustName), t.fingerprint(), simDir)
	return err
}

func directoryAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add DIR FILE...",
		Short: "Put beacons, gates and appraisers into the draft: the public files that their init wrote",
		Long: "Puts the public file of a beacon (beacon.json), a gate (gate.json) or an appraiser (appraiser.json) into the draft of DIR. An entry of the same key is\n" +
			"replaced. Compare the id with its owner by a way of its own, and the position with the survey: signatures vouch for both.",
		Example: "  ursa directory add dir frankfurt/beacon.json gate/gate.json",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := readDraft(args[0])
			if err != nil {
				return err
			}
			for _, path := range args[1:] {
				line, err := d.add(path)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return d.save(args[0])
		},
	}
}

func directorySignCommand() *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign the draft as the next epoch, or add one's signature to a signed one",
		Long: "Signs the draft of DIR as the next epoch and writes DIR/" + directoryName + ". Give it to beacons, gates and cores and\n" +
			"make them reload (SIGHUP). Where several people sign, each of the others adds a signature with --cosign.",
		Example: "  ursa directory sign dir --passphrase-file pass\n  ursa directory sign dir --valid 720h\n  ursa directory sign dir --cosign --key directory-2.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.valid < time.Minute || s.valid > 10*365*24*time.Hour {
				return usagef("--valid %s: use a minute to ten years", s.valid)
			}
			protect, err := s.pass.protector(cmd, false)
			if err != nil {
				return err
			}
			s.dir = args[0]
			return s.run(cmd, protect)
		},
	}
	s.pass.register(cmd)
	cmd.Flags().StringSliceVar(&s.keys, "key", nil, "`FILE` of a signing key; default: all of DIR/directory-*.key")
	cmd.Flags().DurationVar(&s.valid, "valid", 30*24*time.Hour, "how long the epoch is valid")
	cmd.Flags().BoolVar(&s.cosign, "cosign", false, "add a signature to the epoch signed already")
	return cmd
}

func directoryVerifyCommand() *cobra.Command {
	var trust string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify FILE",
		Short:   "Check a signed directory against the trust file, now",
		Long:    "Checks signatures, rules and validity of a signed directory, as beacons, gates and cores do. Exit status 1: refused.",
		Example: "  ursa directory verify directory.ursa --trust trust.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "trust"); err != nil {
				return err
			}
			t, err := readTrust(trust)
			if err != nil {
				return err
			}
			d, err := t.openDirectory(args[0], nil)
			if err != nil {
				return err
			}
			if asJSON {
				_, signers, err := directory.Decode(d.signed)
				if err != nil {
					return err
				}
				return printJSON(cmd, directoryListingOf(d.Directory, signers))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "verified: constellation %s, epoch %d, %d beacons, %d gates, valid until %s\n",
				t.Constellation, d.Epoch, len(d.Beacons), len(d.Gates), utc(d.ExpiresUnixNS))
			return err
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "`FILE` that says who must have signed (trust.json)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func directoryShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show FILE|DIR",
		Short:   "Show what a directory, or the draft of a folder, says; signatures are not checked",
		Long:    "Shows the content of a signed directory, or of the draft in DIR. It checks no signature: 'ursa directory verify' does.",
		Example: "  ursa directory show dir\n  ursa directory show directory.ursa --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := directoryListingAt(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, l)
			}
			return l.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func directoryAdmitSimCommand() *cobra.Command {
	var simDir, timed, out string
	cmd := &cobra.Command{
		Use:   "admit-sim PUBLIC",
		Short: "Attest a key on the simulated platform: a result that lives an hour and proves nothing about hardware",
		Long:  "Makes evidence about the key of a public file (beacon.json, core.json) as a machine would and appraises it, in one go.\n\n" + simNotice,
		Example: "  ursa directory admit-sim --sim-dir dir/sim fra/beacon.json --out fra/result\n" +
			"  ursa directory admit-sim --sim-dir dir/sim core/core.json --timed-key $(cat core/timed-key) --out core/result",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "sim-dir", "out"); err != nil {
				return err
			}
			sim, err := openSim(simDir)
			if err != nil {
				return err
			}
			var key identity.TimedKeyID
			if timed != "" {
				if key, err = identity.ParseTimedKeyID(timed); err != nil {
					return usagef("--timed-key %q: %v", timed, err)
				}
			}
			return admitSim(cmd, sim, args[0], key, out)
		},
	}
	cmd.Flags().StringVar(&simDir, "sim-dir", "", "`DIR` of the simulated platform, which 'directory init' made")
	cmd.Flags().StringVar(&timed, "timed-key", "", "for a core that waits: `NAME` of the timed key that it drew when it started (DIR/timed-key)")
	cmd.Flags().StringVar(&out, "out", "", "write the result to `FILE`")
	return cmd
}

func admitSim(cmd *cobra.Command, sim *simPlatform, public string, timed identity.TimedKeyID, out string) error {
	p, err := readPublic(public, identity.RoleBeacon, identity.RoleCore)
	if err != nil {
		return err
	}
	b, err := sim.admit(cmd.Context(), p.ID, timed, time.Now())
	if err != nil {
		return err
	}
	r, _, err := attest.DecodeResult(b)
	if err != nil {
		return err
	}
	if err := writeWhole(out, b, 0o644); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), simNotice)
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "admitted  %s %s until %s\nresult    %s\nchip      %x\n", p.Role, p.ID.Short(), utc(r.ExpiresUnixNS), out, r.Machine)
	return err
}

func utc(unixNS int64) string { return time.Unix(0, unixNS).UTC().Format(time.RFC3339) }
