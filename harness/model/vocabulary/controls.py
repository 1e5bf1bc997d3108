"""Clusters for switches, lights, covers, locks, keys and media."""

from __future__ import annotations

from harness.model.vocabulary.term import (
    BOOLEAN,
    TEXT,
    Cluster,
    Sets,
    cluster,
    command,
    event,
    integer,
    number,
    one_of,
    state,
)

_PERCENT = number("%", 0, 100)

CLUSTERS: tuple[Cluster, ...] = (
    cluster(
        "BasicInformation",
        0x0028,
        "what the device is, and whether it is there",
        Reachable=state(BOOLEAN, "whether the device can be reached"),
        SoftwareVersionString=state(TEXT, "version of the firmware"),
        StartUp=event("the device has started"),
        ShutDown=event("the device is about to stop"),
    ),
    cluster(
        "Identify",
        0x0003,
        "shows which device it is",
        Identify=command("makes the device draw attention to itself for a time", integer("s", 0, 65535)),
    ),
    cluster(
        "OnOff",
        0x0006,
        "a device that is on or off",
        OnOff=state(BOOLEAN, "whether it is on", writable=True),
        StartUpOnOff=state(one_of("Off", "On", "Toggle"), "state after a loss of power", writable=True),
        On=command("switches it on", sets=Sets("OnOff", True)),
        Off=command("switches it off", sets=Sets("OnOff", False)),
        Toggle=command("switches between on and off"),
    ),
    cluster(
        "LevelControl",
        0x0008,
        "a device with a level: light, sound",
        CurrentLevel=state(_PERCENT, "the level, relative to the highest one", writable=True),
        MoveToLevel=command("sets the level", _PERCENT, Sets("CurrentLevel")),
        Step=command("raises or lowers the level by one step", one_of("Up", "Down")),
    ),
    cluster(
        "ColorControl",
        0x0300,
        "colour of a light",
        # The colour temperature is a reciprocal, in mired; UCUM has no name for this unit.
        ColorTemperatureMireds=state(number("MK-1", 1, 1000), "colour temperature of white", writable=True),
        CurrentHue=state(number("deg", 0, 360), "hue", writable=True),
        CurrentSaturation=state(_PERCENT, "saturation", writable=True),
    ),
    cluster(
        "WindowCovering",
        0x0102,
        "a blind, shutter or curtain; 0 is open, 100 is closed",
        CurrentPositionLiftPercentage=state(_PERCENT, "how far it is closed"),
        TargetPositionLiftPercentage=state(_PERCENT, "how far it shall be closed", writable=True),
        GoToLiftPercentage=command("moves it", _PERCENT, Sets("TargetPositionLiftPercentage")),
        UpOrOpen=command("opens it", sets=Sets("TargetPositionLiftPercentage", 0)),
        DownOrClose=command("closes it", sets=Sets("TargetPositionLiftPercentage", 100)),
        StopMotion=command("stops it where it is"),
    ),
    cluster(
        "DoorLock",
        0x0101,
        "a lock and its door",
        LockState=state(
            one_of("NotFullyLocked", "Locked", "Unlocked", "Unlatched"), "state of the bolt", writable=True
        ),
        DoorState=state(
            one_of(
                "DoorOpen", "DoorClosed", "DoorJammed", "DoorForcedOpen", "DoorUnspecifiedError", "DoorAjar"
            ),
            "state of the door",
        ),
        AutoRelockTime=state(integer("s", 0), "how long it stays unlocked; 0: for ever", writable=True),
        LockDoor=command("locks it", sets=Sets("LockState", "Locked")),
        UnlockDoor=command("unlocks it", sets=Sets("LockState", "Unlocked")),
        LockOperation=event(
            "the lock was operated",
            one_of("Lock", "Unlock", "NonAccessUserEvent", "ForcedUserEvent", "Unlatch"),
        ),
        DoorLockAlarm=event(
            "a problem with the lock or the door",
            one_of(
                "LockJammed",
                "LockFactoryReset",
                "LockRadioPowerCycled",
                "WrongCodeEntryLimit",
                "FrontEsceutcheonRemoved",  # spelt so in the specification
                "DoorForcedOpen",
                "DoorAjar",
                "ForcedUser",
            ),
        ),
    ),
    cluster(
        "Switch",
        0x003B,
        "a key, button or rocker that a person operates to control other things",
        CurrentPosition=state(integer(None, 0, 255), "its position; 0 at rest"),
        SwitchLatched=event("it was moved to a position and stays there", integer(None, 0, 255)),
        InitialPress=event("it was pressed"),
        LongPress=event("it has been held for a while"),
        ShortRelease=event("it was released after a short press"),
        LongRelease=event("it was released after a long press"),
        MultiPressComplete=event("it was pressed several times in a row", integer(None, 1, 255)),
    ),
    cluster(
        "ModeSelect",
        0x0050,
        "a setting with modes named by the maker",
        CurrentMode=state(TEXT, "the mode", writable=True),
    ),
    cluster(
        "MediaPlayback",
        0x0506,
        "playback of sound or video",
        CurrentState=state(one_of("Playing", "Paused", "NotPlaying", "Buffering"), "state of the player"),
        Play=command("plays"),
        Pause=command("pauses"),
        Stop=command("stops"),
    ),
    cluster(
        "MediaInput",
        0x0507,
        "the source of sound and picture",
        CurrentInput=state(TEXT, "the input", writable=True),
    ),
    cluster(
        "Channel",
        0x0504,
        "a broadcast channel",
        CurrentChannel=state(integer(None, 0), "the number of the channel", writable=True),
        SkipChannel=command("goes to the next or the previous channel", one_of("Next", "Previous")),
    ),
    cluster(
        "KeypadInput",
        0x0509,
        "keys of a remote control, as received by a screen",
        SendKey=command(
            "acts as if the key was pressed",
            one_of(
                "Select", "Up", "Down", "Left", "Right", "VolumeUp", "VolumeDown", "Mute", "Power", "Exit"
            ),
        ),
    ),
    cluster(
        "Chime",
        0x0556,
        "a bell or gong",
        Enabled=state(BOOLEAN, "whether it sounds on request", writable=True),
        PlayChimeSound=command("sounds once"),
    ),
    cluster(
        "Messages",
        0x0097,
        "texts shown to a person",
        PresentMessagesRequest=command("shows a message", TEXT),
        MessagePresented=event("a message was shown"),
    ),
)
