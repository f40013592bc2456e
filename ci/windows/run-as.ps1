# Builds the test programs and runs them as another account, for CI on Windows:
#
#   ci\windows\run-as.ps1 user      a new standard user: medium integrity, no privileges
#   ci\windows\run-as.ps1 system    SYSTEM, in session 0, where the services are
#
# Needs an elevated PowerShell. The user that it makes stays.
param([Parameter(Mandatory)][ValidateSet('user', 'system')][string]$Account)
$ErrorActionPreference = 'Stop'

$folder = Join-Path $env:PUBLIC "shmkit-tests-$Account"
$script = Join-Path $folder 'run.cmd'
$output = Join-Path $folder 'output.txt'
$code = Join-Path $folder 'code.txt'
New-Item -ItemType Directory -Force $folder | Out-Null
Remove-Item -ErrorAction SilentlyContinue $output, $code

$built = cargo test --no-run --all-features --message-format=json
if ($LASTEXITCODE -ne 0) { throw 'the tests do not build' }
$programs = $built | ForEach-Object { ConvertFrom-Json $_ } |
    Where-Object { $_.executable -and $_.profile.test } |
    ForEach-Object { $_.executable }

# Who they run as is said first, since it decides what they may do.
$lines = @('@echo off', 'set failed=0', "cd /d `"$folder`"", 'call :all >output.txt 2>&1')
$lines += '>code.txt echo %failed%', 'exit /b', ':all', 'whoami /all'
$lines += "`"$PWD\target\debug\shmkit.exe`" doctor"
$lines += $programs | ForEach-Object { "`"$_`" --quiet || set failed=1" }
$lines += 'exit /b'
Set-Content -Encoding ascii $script $lines

if ($Account -eq 'user') {
    $name = 'shmkit-test'
    $secret = ConvertTo-SecureString "aA1!$([guid]::NewGuid())" -AsPlainText -Force
    New-LocalUser -Name $name -Password $secret | Out-Null
    Add-LocalGroupMember -Group 'Users' -Member $name
    icacls "$PWD" /grant "${name}:(OI)(CI)RX" /T /Q | Out-Null
    icacls $folder /grant "${name}:(OI)(CI)M" /T /Q | Out-Null
    $credential = [pscredential]::new($name, $secret)
    Start-Process cmd.exe "/c $script" -Credential $credential -LoadUserProfile -Wait `
        -WorkingDirectory $folder -WindowStyle Hidden
} else {
    schtasks /create /f /tn shmkit-tests /ru SYSTEM /rl HIGHEST /sc once /st 00:00 `
        /tr $script | Out-Null
    schtasks /run /tn shmkit-tests | Out-Null
    # The step of the workflow has a time limit.
    while (-not (Test-Path $code)) { Start-Sleep -Seconds 2 }
    schtasks /delete /f /tn shmkit-tests | Out-Null
}

Get-Content $output
if (-not (Test-Path $code)) { throw 'the tests did not end' }
exit [int](Get-Content $code)
