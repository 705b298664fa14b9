package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// keepersName is the file that says who must sign reference values.
const keepersName = "keepers.json"

// keepersFile is j of k public keys.
type keepersFile struct {
	Threshold int               `json:"threshold"`
	Keys      []identity.Public `json:"keys"`
}

// keepersFlags say whose manifests count.
type keepersFlags struct {
	file    string
	minimum uint64
}

func (f *keepersFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "keepers", "", "`FILE` that says who must sign manifests, as 'ursa attest manifest keys' writes it")
	cmd.Flags().Uint64Var(&f.minimum, "minimum", 0, "lowest acceptable number of a build")
}

func (f *keepersFlags) keepers() (attest.Keepers, error) {
	if f.file == "" {
		return attest.Keepers{}, usagef("signed reference values need --keepers FILE: whose signatures count")
	}
	var k keepersFile
	err := readJSON(f.file, "a keepers file", &k)
	return attest.Keepers{Keys: k.Keys, Threshold: k.Threshold}, err
}

func (f *keepersFlags) verify(name string) (attest.Manifest, error) {
	k, err := f.keepers()
	if err != nil {
		return attest.Manifest{}, err
	}
	data, err := readLimited(name, attest.MaxSigned)
	if err != nil {
		return attest.Manifest{}, err
	}
	m, err := attest.VerifyManifest(data, k, f.minimum, time.Now().UnixNano())
	if err != nil {
		return attest.Manifest{}, fmt.Errorf("manifest %s: %w", name, mistaken(data, kindManifest, err))
	}
	return m, nil
}

func attestManifestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Signed reference values: what a build measures as, platform by platform",
		Long: "A draft is a JSON file; see docs/ATTESTATION.md. Each keeper signs it at a place of their own with 'sign'; enough\n" +
			"signatures make it count.",
		Example: "  ursa attest manifest keys keepers --keys 3 --threshold 2\n  ursa attest manifest sign draft.json --key keepers/manifest-1.key --out m.ursa\n" +
			"  ursa attest manifest sign m.ursa --key keepers/manifest-3.key --out m.ursa\n  ursa attest manifest verify m.ursa --keepers keepers/keepers.json",
	}
	cmd.AddCommand(manifestKeysCommand(), manifestSignCommand(), manifestVerifyCommand())
	return cmd
}

func manifestKeysCommand() *cobra.Command {
	var keys keyFlags
	var number, threshold int
	cmd := &cobra.Command{
		Use:     "keys DIR",
		Short:   "Make the keepers' keys, and the file that says how many of them must sign",
		Example: "  ursa attest manifest keys keepers --keys 3 --threshold 2 --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if number < 1 || number > 32 || threshold < 1 || threshold > number {
				return usagef("--keys %d --threshold %d: use 1 to 32 keys, and 1 to all of them", number, threshold)
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			if err := newHome(args[0]); err != nil {
				return err
			}
			f := keepersFile{Threshold: threshold}
			for i := range number {
				k, err := identity.Generate(identity.RoleManifest, rand.Reader)
				if err != nil {
					return err
				}
				file := filepath.Join(args[0], fmt.Sprintf("manifest-%d.key", i+1))
				if err := identity.SaveKey(file, k, protect); err != nil {
					return err
				}
				f.Keys = append(f.Keys, k.Public())
				fmt.Fprintf(cmd.OutOrStdout(), "keeper   %s  %s\n", k.ID(), file)
			}
			all := filepath.Join(args[0], keepersName)
			if err := writeJSON(all, f, 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "keepers  %s: %d of %d sign; give it to appraisers, gates and cores\n", all, threshold, number)
			return err
		},
	}
	keys.register(cmd)
	cmd.Flags().IntVar(&number, "keys", 1, "how many keys may sign")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "how many signatures a manifest needs")
	return cmd
}

// manifestDraft is what people write.
type manifestDraft struct {
	Build   string    `json:"build"`
	Number  uint64    `json:"number"`
	Program string    `json:"program_sha256"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Accept  []struct {
		Platform     string   `json:"platform"`
		Measurements []string `json:"measurements"`
		MinTCB       uint64   `json:"min_tcb"`
	} `json:"accept"`
}

// What a draft may lack.
var (
	errHex  = errors.New("is not hexadecimal")
	errNone = errors.New("are missing: nothing would be accepted")
)

func (d manifestDraft) manifest() (attest.Manifest, error) {
	m := attest.Manifest{Version: attest.Version, Build: d.Build, Number: d.Number, IssuedUnixNS: d.Issued.UnixNano(), ExpiresUnixNS: d.Expires.UnixNano()}
	switch {
	case d.Build == "" || d.Number == 0:
		return m, errors.New("build and number are needed: a name, and a number from 1 that only grows")
	case d.Issued.IsZero() || d.Expires.IsZero():
		return m, errNoInstants
	case len(d.Accept) == 0:
		return m, fmt.Errorf("accept: platforms %w", errNone)
	}
	program, err := hex.DecodeString(d.Program)
	if err != nil || len(program) != len(m.Program) {
		return m, fmt.Errorf("program_sha256 %q %w: write its 64 digits, as sha256sum prints them", d.Program, errHex)
	}
	m.Program = [32]byte(program)
	for i, a := range d.Accept {
		if err := checkPlatform(a.Platform); err != nil {
			return m, fmt.Errorf("accept entry %d: %w", i+1, err)
		}
		if len(a.Measurements) == 0 {
			return m, fmt.Errorf("accept entry %d: measurements of %s %w", i+1, a.Platform, errNone)
		}
		e := directory.Expectation{Platform: a.Platform, MinTCB: a.MinTCB}
		for _, text := range a.Measurements {
			x, err := hex.DecodeString(text)
			if err != nil {
				return m, fmt.Errorf("measurement %q of %s %w", text, a.Platform, errHex)
			}
			e.Measurements = append(e.Measurements, x)
		}
		m.Accept = append(m.Accept, e)
	}
	m.Sort()
	return m, nil
}

func manifestSignCommand() *cobra.Command {
	return keeperSignCommand("manifest", "  ursa attest manifest sign draft.json --key keepers/manifest-1.key --out manifest.ursa", signManifest)
}

// keeperSignCommand is the command that signs what keepers sign together, one after the other: a draft first, then what is signed.
func keeperSignCommand(what, example string, sign func(name string, data []byte, k *identity.Private) ([]byte, error)) *cobra.Command {
	var keys keyFlags
	var key, out string
	cmd := &cobra.Command{
		Use:     "sign DRAFT|" + strings.ToUpper(what),
		Short:   "Sign a draft, or add a signature to a signed " + what,
		Example: example,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "key", "out"); err != nil {
				return err
			}
			data, err := readLimited(args[0], attest.MaxSigned)
			if err != nil {
				return err
			}
			protect, err := keys.protector(cmd, false)
			if err != nil {
				return err
			}
			k, err := identity.LoadKey(key, protect)
			if err != nil {
				return err
			}
			if k.Public().Role() != identity.RoleManifest {
				return fmt.Errorf("%s is a key of role %s: a keeper's is needed, as 'ursa attest manifest keys' makes it", key, k.Public().Role())
			}
			signed, err := sign(args[0], data, k)
			if err != nil {
				return err
			}
			if err := writeWhole(out, signed, 0o644); err != nil {
				return err
			}
			return tellSigners(cmd, out, signed)
		},
	}
	keys.register(cmd)
	cmd.Flags().StringVar(&key, "key", "", "a keeper's key `FILE`")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the signed "+what)
	return cmd
}

// tellSigners says who is said to have signed by now.
func tellSigners(cmd *cobra.Command, out string, signed []byte) error {
	_, signers, err := attest.DecodeManifest(signed)
	if err != nil {
		_, signers, err = attest.DecodeRevocations(signed)
	}
	if err != nil {
		return err
	}
	names := make([]string, len(signers))
	for i, id := range signers {
		names[i] = id.Short()
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed  %s, by %s\n", out, strings.Join(names, " and "))
	return err
}

// signManifest signs a draft, which is JSON, or cosigns a manifest, which is not.
func signManifest(name string, data []byte, k *identity.Private) ([]byte, error) {
	if !isJSON(data) {
		signed, err := attest.CosignManifest(data, k)
		return signed, inFile(name, mistaken(data, kindManifest, err))
	}
	var d manifestDraft
	if err := readJSON(name, "a draft of a manifest", &d); err != nil {
		return nil, err
	}
	m, err := d.manifest()
	if err != nil {
		return nil, inFile(name, err)
	}
	signed, err := attest.SignManifest(m, k)
	return signed, inFile(name, err)
}

// inFile says which file an error is about.
func inFile(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

func manifestVerifyCommand() *cobra.Command {
	var keepers keepersFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "verify MANIFEST",
		Short:   "Verify that enough keepers signed a manifest that is in force",
		Example: "  ursa attest manifest verify manifest.ursa --keepers keepers.json --minimum 12",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := keepers.verify(args[0])
			if err != nil {
				return err
			}
			r := manifestRows(m, nil)
			r[0] = [2]string{"verified", "manifest"}
			return r.print(cmd, asJSON)
		},
	}
	keepers.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
