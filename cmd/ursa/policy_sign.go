package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/topology/identity"
)

const (
	authorsName      = "authors.json" // who may sign a policy or a list of revocations, and how many must
	signedPolicyName = "policy.ursa"
)

// authorsFile says whose policies count.
type authorsFile struct {
	Threshold int               `json:"threshold"` // signatures that a policy needs
	Authors   []identity.Public `json:"authors"`   // keys that may sign one
}

// readAuthorsFile reads who may sign.
func readAuthorsFile(path string) (quorum.Authors, error) {
	var f authorsFile
	if err := readJSON(path, "a file of authors, as 'ursa policy init' writes it", &f); err != nil {
		return quorum.Authors{}, err
	}
	if f.Threshold < 1 || f.Threshold > len(f.Authors) || len(f.Authors) > quorum.MaxAuthors {
		return quorum.Authors{}, fmt.Errorf("%s: it has %d authors and asks for %d: 1 to %d authors are needed, and a threshold of 1 to all of them", path, len(f.Authors), f.Threshold, quorum.MaxAuthors)
	}
	for i, a := range f.Authors {
		if a.Role() != identity.RolePolicy {
			return quorum.Authors{}, fmt.Errorf("%s: key %d is that of a %s: the key of an author (role %s) is needed", path, i+1, a.Role(), identity.RolePolicy)
		}
	}
	return quorum.Authors{Keys: f.Authors, Threshold: f.Threshold}, nil
}

// readSignedPolicy reads a policy that enough authors signed, with the bytes that they signed.
func readSignedPolicy(path string, authors quorum.Authors) (policy.Policy, []byte, error) {
	signed, err := readLimited(path, policy.SignedSize)
	if err != nil {
		return policy.Policy{}, nil, err
	}
	p, err := policy.Open(signed, authors)
	if err != nil {
		return policy.Policy{}, nil, fmt.Errorf("%s is refused: %w", path, err)
	}
	return p, signed, nil
}

// makeAuthors makes keys of authors in a folder, and the file that says who they are.
func makeAuthors(dir string, n, threshold int, protect identity.Protector) (authorsFile, error) {
	f := authorsFile{Threshold: threshold}
	if err := newHome(dir); err != nil {
		return f, err
	}
	for i := range n {
		key, err := identity.Generate(identity.RolePolicy, rand.Reader)
		if err != nil {
			return f, err
		}
		if err := identity.SaveKey(filepath.Join(dir, fmt.Sprintf("author-%d.key", i+1)), key, protect); err != nil {
			return f, err
		}
		f.Authors = append(f.Authors, key.Public())
	}
	return f, writeJSON(filepath.Join(dir, authorsName), f, 0o644)
}

func policyInitCommand() *cobra.Command {
	var keys keyFlags
	var n, threshold int
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make the keys of a policy's authors, and the file that says who they are",
		Long: "Makes DIR with the authors' keys (encrypted; move them to different people where there are several) and " + authorsName + ",\n" +
			"which gates are given: they take only policies and lists of revocations that enough of these authors signed.",
		Example: "  ursa policy init authors --keys 3 --threshold 2 --passphrase-file pass",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > quorum.MaxAuthors || threshold < 1 || threshold > n {
				return usagef("--keys %d --threshold %d: use 1 to %d keys, and 1 to all of them", n, threshold, quorum.MaxAuthors)
			}
			protect, err := keys.protector(cmd, true)
			if err != nil {
				return err
			}
			f, err := makeAuthors(args[0], n, threshold, protect)
			if err != nil {
				return err
			}
			for i, a := range f.Authors {
				fmt.Fprintf(cmd.OutOrStdout(), "author   %s  %s\n", a.ID(), filepath.Join(args[0], fmt.Sprintf("author-%d.key", i+1)))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "authors  %s: %d of %d sign; give it to gates\n", filepath.Join(args[0], authorsName), threshold, n)
			return err
		},
	}
	keys.register(cmd)
	cmd.Flags().IntVar(&n, "keys", 1, "how many authors")
	cmd.Flags().IntVar(&threshold, "threshold", 1, "how many of them must sign")
	return cmd
}

// policySigning are the flags of `ursa policy sign`.
type policySigning struct {
	keys   keyFlags
	files  []string
	out    string
	cosign bool
}

func policySignCommand() *cobra.Command {
	var s policySigning
	cmd := &cobra.Command{
		Use:   "sign POLICY",
		Short: "Sign a policy file as its author, or add one's signature to a signed one",
		Long: "Checks a policy file as 'ursa policy check' does and signs what it means, not its text. Where several authors must sign, each of\n" +
			"the others adds a signature to the signed file with --cosign, after reading it with 'ursa policy explain'.",
		Example: "  ursa policy sign europe.yaml --key authors/author-1.key --out europe.ursa\n" +
			"  ursa policy sign europe.ursa --cosign --key authors/author-2.key",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needFlags(cmd, "key"); err != nil {
				return err
			}
			if s.cosign && s.out == "" {
				s.out = args[0]
			}
			if s.out == "" {
				return usagef("--out is missing: say where the signed policy goes, such as %s", signedPolicyName)
			}
			protect, err := s.keys.protector(cmd, false)
			if err != nil {
				return err
			}
			return s.run(cmd, args[0], protect)
		},
	}
	s.keys.register(cmd)
	cmd.Flags().StringSliceVar(&s.files, "key", nil, "`FILE` of an author's key; repeat for several")
	cmd.Flags().StringVar(&s.out, "out", "", "write the signed policy to `FILE`; with --cosign: over the one signed before")
	cmd.Flags().BoolVar(&s.cosign, "cosign", false, "add signatures to a policy that was signed already")
	return cmd
}

func (s policySigning) run(cmd *cobra.Command, path string, protect identity.Protector) error {
	var authors []*identity.Private
	for _, file := range s.files {
		k, err := identity.LoadKey(file, protect)
		if err != nil {
			return err
		}
		if k.Public().Role() != identity.RolePolicy {
			return fmt.Errorf("%s is the key of a %s: the key of an author is needed; 'ursa policy init' makes them", file, k.Public().Role())
		}
		authors = append(authors, k)
	}
	signed, err := s.sign(cmd, path, authors)
	if err != nil {
		return err
	}
	p, ids, err := policy.Claimed(signed)
	if err != nil {
		return err
	}
	if err := writeWhole(s.out, signed, 0o644); err != nil {
		return err
	}
	hash, err := p.Hash()
	if err != nil {
		return err
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.Short()
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "policy  %q version %d, hash %x\nsigned  %s, by %s\n", p.Name, p.Version, hash, s.out, strings.Join(names, " and "))
	return err
}

// sign makes the signed file.
func (s policySigning) sign(cmd *cobra.Command, path string, authors []*identity.Private) ([]byte, error) {
	if !s.cosign {
		l, err := loadPolicy(cmd, path)
		if err != nil {
			return nil, err
		}
		if len(l.signers) > 0 {
			return nil, usagef("%s is signed already: add a signature with --cosign", path)
		}
		return policy.Sign(l.file.Policy, authors...)
	}
	data, err := readLimited(path, policy.SignedSize)
	if err != nil {
		return nil, err
	}
	for _, a := range authors {
		if data, err = policy.Cosign(data, a); errors.Is(err, policy.ErrEncoding) || errors.Is(err, quorum.ErrEncoding) {
			return nil, fmt.Errorf("%s is not a signed policy: sign the file without --cosign first", path)
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return data, nil
}
