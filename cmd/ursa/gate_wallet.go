package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func gateWalletCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wallet",
		Short: "What a core's chip may still use; deposits, also for later",
		Long: "A wallet hangs on a chip and holds units of compute (ms of CPU time). Enrolment gives it a budget, deposits add to it, leases and\n" +
			"burns take from it. There is no other way out of it, and none from one wallet to another. Every deposit is an entry of the ledger.",
		Example: "  ursa gate wallet show --dir gate 4f1c2a9b\n  ursa gate wallet deposit --dir gate 4f1c2a9b 5000000 --not-before 2027-01-01T00:00:00Z\n" +
			"  ursa gate wallet top-up --dir gate 4f1c2a9b --to 1000000",
	}
	cmd.AddCommand(walletShowCommand(), walletDepositCommand(), walletTopUpCommand())
	return cmd
}

// walletState is what `ursa gate wallet` prints.
type walletState struct {
	Core      identity.ID `json:"core"`
	Chip      hexString   `json:"chip"`
	Tenant    string      `json:"tenant"`
	Budget    uint64      `json:"budget_units"`    // of the enrolment
	Spent     uint64      `json:"spent_units"`     // by leases and burns
	Available uint64      `json:"available_units"` // now
	Later     uint64      `json:"later_units"`     // deposited, but not to be used yet
	Deposit   string      `json:"deposit,omitempty"`
	Deposited uint64      `json:"deposited_units,omitempty"`
	Leaf      *uint64     `json:"ledger_leaf,omitempty"` // of the deposit
	Released  windowSums  `json:"released_units"`
}

// windowSums are what tenant and fleet were granted in the hour and the day (of UTC) that it is: what a policy's budgets bound.
type windowSums struct {
	TenantHour uint64 `json:"tenant_hour"`
	TenantDay  uint64 `json:"tenant_day"`
	FleetHour  uint64 `json:"fleet_hour"`
	FleetDay   uint64 `json:"fleet_day"`
}

// released asks the store for the sums.
func released(ctx context.Context, st store.Store, tenant string, now time.Time) (windowSums, error) {
	d := store.Draw{Tenant: tenant, AtUnixNS: now.UnixNano()}
	for _, of := range []store.Bucket{store.OfTenant, store.OfFleet} {
		for _, hours := range []uint64{1, 24} {
			d.Budgets = append(d.Budgets, store.Budget{Of: of, Hours: hours, Units: store.MaxBudget})
		}
	}
	n, err := st.Drawn(ctx, d)
	if err != nil {
		return windowSums{}, err
	}
	return windowSums{uint64(n[0]), uint64(n[1]), uint64(n[2]), uint64(n[3])}, nil
}

func walletShowCommand() *cobra.Command {
	var home gateHome
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show CORE",
		Short: "What the wallet of a core's chip holds",
		Long: "Shows the wallet that a core draws on, and what its tenant and the fleet were granted in this hour and day, which a policy's budgets\n" +
			"bound. CORE is an id, or its first eight digits or more.",
		Example: "  ursa gate wallet show --dir gate 4f1c2a9b --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return orderWallet(cmd, home, args[0], gateOrder{Do: orderWalletShow}, asJSON)
		},
	}
	home.registerStore(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func walletDepositCommand() *cobra.Command {
	var home gateHome
	var notBefore, id string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "deposit CORE UNITS",
		Short: "Add units to a wallet, at once or from an instant on",
		Long: "Adds units to the wallet of a core's chip. With --not-before they can be used from then on: compute that is paid for, but not yet\n" +
			"given. The same --id twice is one deposit, so a deposit whose answer was lost can be made again.",
		Example: "  ursa gate wallet deposit --dir gate 4f1c2a9b 5000000 --not-before 2027-01-01T00:00:00Z",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := gateOrder{Do: orderDeposit}
			if _, err := fmt.Sscanf(args[1], "%d", &o.Units); err != nil || fmt.Sprint(o.Units) != args[1] || o.Units == 0 || o.Units > 1<<62 {
				return usagef("UNITS %q: use 1 to 2^62", args[1])
			}
			if notBefore != "" {
				at, err := time.Parse(time.RFC3339, notBefore)
				if err != nil {
					return usagef("--not-before %q: use an instant such as 2027-01-01T00:00:00Z", notBefore)
				}
				o.NotBefore = at.UnixNano()
			}
			var err error
			if o.Deposit, err = depositID(id); err != nil {
				return err
			}
			return orderWallet(cmd, home, args[0], o, asJSON)
		},
	}
	home.registerStore(cmd)
	cmd.Flags().StringVar(&notBefore, "not-before", "", "`INSTANT` from which on the units may be used, such as 2027-01-01T00:00:00Z")
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the deposit, 32 hexadecimal digits; default: drawn")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func walletTopUpCommand() *cobra.Command {
	var home gateHome
	var to uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "top-up CORE",
		Short:   "Deposit what a wallet lacks to a level",
		Long:    "Deposits as many units as the wallet of a core's chip lacks to hold --to units now; nothing when it holds as many or more.",
		Example: "  ursa gate wallet top-up --dir gate 4f1c2a9b --to 1000000",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == 0 || to > 1<<62 {
				return usagef("--to %d: use 1 to 2^62 units", to)
			}
			id, err := depositID("")
			if err != nil {
				return err
			}
			return orderWallet(cmd, home, args[0], gateOrder{Do: orderTopUp, Units: to, Deposit: id}, asJSON)
		},
	}
	home.registerStore(cmd)
	cmd.Flags().Uint64Var(&to, "to", 0, "`UNITS` that the wallet is to hold")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// depositID reads an id, or draws one: it hides in the ledger whose deposit it was.
func depositID(text string) (hexString, error) {
	if text == "" {
		b := make([]byte, 16)
		_, err := rand.Read(b)
		return b, err
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 16 || [16]byte(b) == [16]byte{} {
		return nil, usagef("--id %q: use 32 hexadecimal digits, not all zero", text)
	}
	return b, nil
}

// orderWallet carries out an order about a wallet and prints it.
func orderWallet(cmd *cobra.Command, home gateHome, core string, o gateOrder, asJSON bool) error {
	if err := checkPrefix(core); err != nil {
		return err
	}
	o.Prefix = lowerDigits(core)
	a, err := askGate(cmd.Context(), home, o)
	if err != nil {
		return err
	}
	if a.Wallet == nil {
		return errors.New("the gate that serves the folder is of another version: stop it first")
	}
	if asJSON {
		return printJSON(cmd, a.Wallet)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	s := a.Wallet
	fmt.Fprintf(w, "core\t%s of %s, chip %.4x\n", s.Core.Short(), s.Tenant, []byte(s.Chip))
	if s.Leaf != nil {
		fmt.Fprintf(w, "deposit\t%s units, id %s, leaf %d of the ledger\n", unitsOf(lock.Units(s.Deposited)), s.Deposit, *s.Leaf)
	}
	fmt.Fprintf(w, "budget\t%s units\nspent\t%s units\navailable\t%s units now\n", unitsOf(lock.Units(s.Budget)), unitsOf(lock.Units(s.Spent)), unitsOf(lock.Units(s.Available)))
	r := s.Released
	fmt.Fprintf(w, "tenant\tgranted %s units this hour, %s this day (UTC)\nfleet\tgranted %s units this hour, %s this day (UTC)\n",
		unitsOf(lock.Units(r.TenantHour)), unitsOf(lock.Units(r.TenantDay)), unitsOf(lock.Units(r.FleetHour)), unitsOf(lock.Units(r.FleetDay)))
	if s.Later > 0 {
		fmt.Fprintf(w, "later\t%s units, deposited for a later instant\n", unitsOf(lock.Units(s.Later)))
	}
	return w.Flush()
}

// wallet shows one, after a deposit if one is ordered. Await returns when the ledger shows a leaf.
func wallet(ctx context.Context, st store.Store, a store.Account, o gateOrder, await func(context.Context, uint64) error) (*walletState, error) {
	s := &walletState{Core: a.Core, Chip: a.Chip[:], Tenant: a.Tenant, Budget: uint64(a.Budget), Spent: uint64(a.Spent)}
	now := time.Now()
	units := lock.Units(o.Units)
	if o.Do == orderTopUp {
		has, err := st.Wallet(ctx, a.Chip, now.UnixNano())
		if err != nil {
			return nil, err
		}
		units -= min(units, has)
	}
	if o.Do != orderWalletShow && units > 0 {
		leaf, err := deposit(ctx, st, a.Chip, o, units, now)
		if err != nil {
			return nil, err
		}
		if err := await(ctx, leaf); err != nil {
			return nil, err
		}
		s.Deposit, s.Deposited, s.Leaf = hex.EncodeToString(o.Deposit), uint64(units), &leaf
	}
	available, err := st.Wallet(ctx, a.Chip, max(now.UnixNano(), 1))
	if err != nil {
		return nil, err
	}
	if s.Released, err = released(ctx, st, a.Tenant, now); err != nil {
		return nil, err
	}
	all, err := st.Wallet(ctx, a.Chip, math.MaxInt64)
	s.Available, s.Later = uint64(available), uint64(all-min(all, available))
	return s, err
}

// deposit is one transaction with its leaf.
func deposit(ctx context.Context, st store.Store, chip [32]byte, o gateOrder, units lock.Units, now time.Time) (uint64, error) {
	if len(o.Deposit) != 16 || o.NotBefore < 0 {
		return 0, fmt.Errorf("%w: a deposit has an id of 16 bytes", errOrder)
	}
	d := store.Deposit{ID: [16]byte(o.Deposit), Chip: chip, Units: units, NotBeforeNS: o.NotBefore, AtUnixNS: now.UnixNano()}
	l := ledger.Leaf{Version: ledger.Version, Kind: ledger.KindDeposit, AtUnixMS: now.UnixMilli(), Units: uint64(units),
		Object: ledger.ObjectOf(ledger.KindDeposit, d.ID, chip), NotBeforeMS: o.NotBefore / int64(time.Millisecond)}
	var err error
	if d.Leaf, err = l.Encode(); err != nil {
		return 0, err
	}
	return st.Deposit(ctx, d)
}
