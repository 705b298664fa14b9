package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// revocationsValid is how long a list of revocations is in force, unless its authors say otherwise.
const revocationsValid = 90 * 24 * time.Hour

// maxRevocations is the most bytes that a signed list may have.
const maxRevocations = revoke.MaxSize + quorum.Overhead

// revokeFlags name what is put on the list of revocations, or taken off it.
type revokeFlags struct {
	keys    keyFlags
	home    gateHome
	signers []string
	names   map[revoke.Kind]*[]string
	fleet   bool
	renew   bool
	reason  string
	out     string
	cosign  string
	install string
	valid   time.Duration
}

// revocable are the kinds of entries, each with what it does for people.
var revocable = []struct {
	kind        revoke.Kind
	flag, means string
}{
	{revoke.Tenant, "tenant", "all cores of the tenant of this `NAME`"},
	{revoke.Chip, "chip", "all cores on the chip of this `ID` (64 hexadecimal digits)"},
	{revoke.Region, "region", "no more leases for proofs that reach into this `EXPR` over the atlas"},
	{revoke.Beacon, "beacon", "statements of the beacon of this `ID` count as dropped"},
	{revoke.Domain, "domain", "statements of the beacons in this fault `DOMAIN` count as dropped"},
	{revoke.Measurement, "measurement", "cores that run code of this `MEASUREMENT`; statements of such beacons count as dropped"},
	{revoke.Credential, "credential", "cores that attest with this key or certificate (SHA-256, 64 digits); statements of such beacons count as dropped"},
	{revoke.Policy, "policy", "everything that the policy of this `HASH` releases"},
}

func (r *revokeFlags) register(cmd *cobra.Command) {
	r.home.registerStore(cmd)
	r.keys.register(cmd)
	f := cmd.Flags()
	r.names = map[revoke.Kind]*[]string{}
	for _, k := range revocable {
		r.names[k.kind] = new([]string)
		f.StringArrayVar(r.names[k.kind], k.flag, nil, k.means)
	}
	f.BoolVar(&r.fleet, "fleet", false, "every core")
	f.StringVar(&r.reason, "reason", "", "one `LINE` for people: refusals say it")
	f.DurationVar(&r.valid, "valid", revocationsValid, "how long the list is in force; after that the gate grants nothing without a newer one")
	f.StringArrayVar(&r.signers, "key", nil, "`FILE` of an author's key that signs; default: the folder's own")
	f.StringVar(&r.out, "out", "", "where several authors must sign: write the list to `FILE` for the others; default: revocations.next in the folder")
}

func gateRevokeCommand() *cobra.Command {
	var r revokeFlags
	cmd := &cobra.Command{
		Use:   "revoke [CORE...]",
		Short: "The off-switch: for cores, a tenant, a region, beacons, code, a policy, or the fleet",
		Long: "Signs the next list of revocations: the present one and what is named here. A gate that serves takes it over at once: no more\n" +
			"challenges, leases or keys for what is on it; what cores hold runs out within T_off, whether or not anything reaches them.\n\n" +
			"CORE is an id, or its first eight digits or more. Lists have an epoch that only grows, and gates refuse older ones. Where several\n" +
			"authors must sign, the list is written for the others, who add theirs with --cosign; --install puts it into force.",
		Example: "  ursa gate revoke --dir gate 4f1c2a9b --reason 'returned to its maker'\n  ursa gate revoke --dir gate --tenant acme\n" +
			"  ursa gate revoke --dir gate --region 'cap(52.5,13.4,200km)'\n  ursa gate revoke --dir gate --fleet\n" +
			"  ursa gate revoke --cosign revocations.next --key author-2.key && ursa gate revoke --dir gate --install revocations.next",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case r.cosign != "":
				return r.cosignList(cmd)
			case r.install != "":
				return r.installList(cmd)
			}
			return r.change(cmd, args, add)
		},
	}
	r.register(cmd)
	cmd.Flags().BoolVar(&r.renew, "renew", false, "sign the present list anew, before it expires")
	cmd.Flags().StringVar(&r.cosign, "cosign", "", "add a signature to the list in `FILE`, made by another author")
	cmd.Flags().StringVar(&r.install, "install", "", "put the list in `FILE` into force, which enough authors signed")
	return cmd
}

func gateRestoreCommand() *cobra.Command {
	var r revokeFlags
	cmd := &cobra.Command{
		Use:   "restore [CORE...]",
		Short: "Take cores, a tenant, a region or the fleet off the list of revocations",
		Long: "Signs the next list of revocations without what is named here. A core that was switched off because a copy of it was in use is\n" +
			"switched on again, too.",
		Example: "  ursa gate restore --dir gate 4f1c2a9b\n  ursa gate restore --dir gate --fleet",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return r.change(cmd, args, remove) },
	}
	r.register(cmd)
	return cmd
}

func gateRevocationsCommand() *cobra.Command {
	var home gateHome
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "revocations",
		Short:   "Show the list of revocations in the folder",
		Long:    "Verifies the signed list of revocations in the folder and prints it.",
		Example: "  ursa gate revocations --dir gate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := home.check(); err != nil {
				return err
			}
			l, err := readRevocations(home)
			if err != nil {
				return err
			}
			return printRevocations(cmd, l, asJSON)
		},
	}
	home.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// readRevocations reads and verifies the folder's list. That it may have expired is for the gate to judge.
func readRevocations(home gateHome) (revoke.List, error) {
	l, _, err := readRevocationFile(home, home.path(gateRevokedName))
	return l, err
}

func readRevocationFile(home gateHome, path string) (revoke.List, []byte, error) {
	authors, err := home.authors()
	if err != nil {
		return revoke.List{}, nil, err
	}
	signed, err := readLimited(path, maxRevocations)
	if err != nil {
		return revoke.List{}, nil, err
	}
	payload, err := quorum.Open(revoke.TypeRevocation, signed, authors, revoke.MaxSize)
	if err != nil {
		return revoke.List{}, nil, fmt.Errorf("%s is refused: %w", path, err)
	}
	l, err := revoke.Decode(payload)
	if err != nil {
		return revoke.List{}, nil, fmt.Errorf("%s is refused: %w", path, err)
	}
	return l, signed, nil
}

// firstRevocations signs an empty list with the folder's own author.
func firstRevocations(home gateHome, protect identity.Protector) error {
	keys, err := home.authorKeys(nil, protect)
	if err != nil {
		return err
	}
	now := time.Now()
	signed, err := revoke.Sign(revoke.List{Version: revoke.Version, Epoch: 1, IssuedUnixNS: now.UnixNano(), ExpiresUnixNS: now.Add(revocationsValid).UnixNano()}, keys...)
	if err != nil {
		return err
	}
	return writeWhole(home.path(gateRevokedName), signed, 0o644)
}

// How a list is changed.
func add(l *revoke.List, e revoke.Entry) bool {
	if _, there := l.Names(e.Kind, e.Name); there {
		return false
	}
	l.Entries = append(l.Entries, e)
	l.Sort()
	return true
}

func remove(l *revoke.List, e revoke.Entry) bool {
	had := len(l.Entries)
	l.Entries = slices.DeleteFunc(l.Entries, func(x revoke.Entry) bool { return x.Kind == e.Kind && x.Name == e.Name })
	return len(l.Entries) < had
}

// change makes the next list, signs it, and puts it into force when that suffices.
func (r *revokeFlags) change(cmd *cobra.Command, cores []string, how func(*revoke.List, revoke.Entry) bool) error {
	if err := r.home.check(); err != nil {
		return err
	}
	entries, err := r.entries(cmd, cores)
	if err != nil {
		return err
	}
	next, err := readRevocations(r.home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		changed := how(&next, e)
		if r.restored(cmd, e) || changed {
			continue
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s %s: the list says so already\n", e.Kind, e.Name)
	}
	now := time.Now()
	next.Version, next.Epoch, next.IssuedUnixNS, next.ExpiresUnixNS = revoke.Version, next.Epoch+1, now.UnixNano(), now.Add(r.valid).UnixNano()
	if _, err := next.Encode(); err != nil {
		return usagef("%w", err)
	}
	protect, err := r.keys.protector(cmd, false)
	if err != nil {
		return err
	}
	keys, err := r.home.authorKeys(r.signers, protect)
	if err != nil {
		return err
	}
	signed, err := revoke.Sign(next, keys...)
	if err != nil {
		return err
	}
	return r.enforce(cmd, signed)
}

// restored switches a core on again that the gate had switched off itself, whatever the list says.
func (r *revokeFlags) restored(cmd *cobra.Command, e revoke.Entry) bool {
	if cmd.Name() != "restore" || e.Kind != revoke.Core {
		return false
	}
	a, err := askGate(cmd.Context(), r.home, gateOrder{Do: orderEnable, Prefix: e.Name})
	return err == nil && len(a.Cores) == 1
}

// entries turns words into entries, and checks what they mean.
func (r *revokeFlags) entries(cmd *cobra.Command, cores []string) ([]revoke.Entry, error) {
	var out []revoke.Entry
	for _, core := range cores {
		if err := checkPrefix(core); err != nil {
			return nil, err
		}
		a, err := askGate(cmd.Context(), r.home, gateOrder{Do: orderList, Prefix: lowerDigits(core)})
		switch {
		case err != nil:
			return nil, err
		case len(a.Cores) == 0:
			return nil, fmt.Errorf("%s: %w", core, errNoCore)
		case len(a.Cores) > 1:
			return nil, fmt.Errorf("%s: %w", core, errManyCores)
		}
		out = append(out, revoke.Entry{Kind: revoke.Core, Name: a.Cores[0].Core.String(), Reason: r.reason})
	}
	for _, k := range revocable {
		for _, name := range *r.names[k.kind] {
			if k.kind == revoke.Region {
				if _, _, err := grant.Permit(name); err != nil {
					return nil, usagef("--region: %w", err)
				}
			}
			out = append(out, revoke.Entry{Kind: k.kind, Name: name, Reason: r.reason})
		}
	}
	if r.fleet {
		out = append(out, revoke.Entry{Kind: revoke.Fleet, Name: "all", Reason: r.reason})
	}
	if len(out) == 0 && !r.renew {
		return nil, usagef("nothing is named: give a CORE, --tenant, --region, --fleet or another of the flags; see '%s --help'", cmd.CommandPath())
	}
	return out, nil
}

// cosignList adds one author's signature to a list of another's.
func (r *revokeFlags) cosignList(cmd *cobra.Command) error {
	if len(r.signers) == 0 {
		return usagef("--key is missing: name the key of the author who signs")
	}
	signed, err := readLimited(r.cosign, maxRevocations)
	if err != nil {
		return err
	}
	s, err := quorum.Decode(signed, revoke.MaxSize)
	if err != nil {
		return err
	}
	l, err := revoke.Decode(s.Payload)
	if err != nil {
		return err
	}
	protect, err := r.keys.protector(cmd, false)
	if err != nil {
		return err
	}
	keys, err := r.home.authorKeys(r.signers, protect)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if signed, err = quorum.Add(revoke.TypeRevocation, signed, revoke.MaxSize, k); err != nil {
			return err
		}
	}
	if err := printRevocations(cmd, l, false); err != nil {
		return err
	}
	return writeWhole(r.cosign, signed, 0o644)
}

func (r *revokeFlags) installList(cmd *cobra.Command) error {
	if err := r.home.check(); err != nil {
		return err
	}
	_, signed, err := readRevocationFile(r.home, r.install)
	if err != nil {
		return err
	}
	return r.enforce(cmd, signed)
}

// enforce writes a signed list to the folder and tells the gate that serves; where signatures are missing, it writes it for the others.
func (r *revokeFlags) enforce(cmd *cobra.Command, signed []byte) error {
	authors, err := r.home.authors()
	if err != nil {
		return err
	}
	payload, err := quorum.Open(revoke.TypeRevocation, signed, authors, revoke.MaxSize)
	if errors.Is(err, quorum.ErrThreshold) {
		path := r.out
		if path == "" {
			path = r.home.path(gateRevokedDraft)
		}
		if err := writeWhole(path, signed, 0o644); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "written to %s and NOT in force: %d authors must sign; the others with 'ursa gate revoke --cosign FILE --key KEY', then --install FILE\n", path, authors.Threshold)
		return err
	}
	if err != nil {
		return err
	}
	next, err := revoke.Decode(payload)
	if err != nil {
		return err
	}
	was, err := readRevocations(r.home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && next.Epoch <= was.Epoch {
		return fmt.Errorf("%w: %d after %d", revoke.ErrEpoch, next.Epoch, was.Epoch)
	}
	if err := writeWhole(r.home.path(gateRevokedName), signed, 0o644); err != nil {
		return err
	}
	a, err := askGate(cmd.Context(), r.home, gateOrder{Do: orderReload})
	state := "in force now"
	if errors.Is(err, errNotRunning) {
		state = "in force when the gate serves"
	} else if err != nil {
		return fmt.Errorf("epoch %d is written, but the gate that serves refused it: %w", next.Epoch, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "epoch %d %s, until %s: %s\n", next.Epoch, state, utc(next.ExpiresUnixNS), count(len(next.Entries), "revocation"))
	if len(a.Fallen) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "no more keys for the leases of %s; what they hold runs out within T_off\n", strings.Join(a.Fallen, ", "))
	}
	if a, err := askGate(cmd.Context(), r.home, gateOrder{Do: orderList}); err == nil {
		return tableOfCores(cmd.OutOrStdout(), a.Cores)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func printRevocations(cmd *cobra.Command, l revoke.List, asJSON bool) error {
	if asJSON {
		type entry struct {
			Kind   string `json:"kind"`
			Name   string `json:"name"`
			Reason string `json:"reason"`
		}
		out := struct {
			Epoch   uint64  `json:"epoch"`
			Issued  string  `json:"issued_at"`
			Expires string  `json:"expires_at"`
			Entries []entry `json:"entries"`
		}{l.Epoch, utc(l.IssuedUnixNS), utc(l.ExpiresUnixNS), []entry{}}
		for _, e := range l.Entries {
			out.Entries = append(out.Entries, entry{string(e.Kind), e.Name, e.Reason})
		}
		return printJSON(cmd, out)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "epoch %d\tuntil %s\t%s\n", l.Epoch, utc(l.ExpiresUnixNS), count(len(l.Entries), "revocation"))
	for _, e := range l.Entries {
		fmt.Fprintf(w, "%s\t%s\t%s\n", e.Kind, e.Name, e.Reason)
	}
	return w.Flush()
}
